/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run.c: how a batch goes through the steps of a program: by image before the cut, then by layer.
 */
#include "engine/step.h"

#include <time.h>

void *
engine_program_value (const EngineProgram *program, int value)
{
  g_return_val_if_fail (program->plan->space[value] == ENGINE_SPACE_BATCH, NULL);
  return program->arena + program->plan->offset[value];
}

EngineSpan
engine_program_span (const EngineProgram *program, int first, int images, int lane)
{
  EngineSpan span = {.images = images, .scratch = program->scratch};

  span.space[ENGINE_SPACE_BATCH].memory = program->arena;
  span.space[ENGINE_SPACE_BATCH].times = first;
  span.space[ENGINE_SPACE_IMAGE].memory = program->lanes;
  span.space[ENGINE_SPACE_IMAGE].times = images;
  if (lane == ENGINE_NONE)
    return span;
  span.space[ENGINE_SPACE_IMAGE].memory += program->plan->arena[ENGINE_SPACE_IMAGE] * lane;
  if (program->scratch)
    span.scratch = program->scratch + program->lane_scratch * lane;
  return span;
}

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t); /* g_get_monotonic_time() counts in microseconds */
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* In a lane kernels have run when they return; the queue of the program is waited for. */
static const char *
run_timed (const EngineProgram *program, const EngineStep *step, const EngineSpan *span,
    KernelQueue *queue, double *seconds)
{
  const double start = now ();
  const char *failure = NULL;

  step->run (step, span, queue);
  if (queue == program->queue)
    failure = program->backend->queue_wait (queue);
  *seconds += now () - start;
  return failure;
}

static const char *
run_steps (const EngineProgram *program, guint from, guint to, const EngineSpan *span,
    KernelQueue *queue, double *seconds)
{
  const char *failure = NULL;

  for (guint i = from; i < to && !failure; i++) {
    const EngineStep *step = &g_array_index (program->steps, EngineStep, i);

    if (seconds)
      failure = run_timed (program, step, span, queue, &seconds[i]);
    else
      step->run (step, span, queue);
  }
  return failure;
}

static double *
row_of (const EngineProgram *program, double *seconds, int row)
{
  return seconds ? seconds + (gsize) row * program->steps->len : NULL;
}

typedef struct {
  const EngineProgram *program;
  double *seconds;
} Each;

static void
run_image (void *ctx, int image, int lane, KernelQueue *queue)
{
  const Each *each = ctx;
  const EngineSpan span = engine_program_span (each->program, image, 1, lane);

  run_steps (each->program, 0, each->program->cut_steps, &span, queue,
      row_of (each->program, each->seconds, lane));
}

static const char *
run_by_layer (const EngineProgram *program, guint from, guint to, int first, int images,
    double *seconds)
{
  const EngineSpan span = engine_program_span (program, first, images, ENGINE_NONE);

  return run_steps (program, from, to, &span, program->queue,
      row_of (program, seconds, program->schedule.lanes));
}

const char *
engine_program_run (const EngineProgram *program, int batch, double *seconds)
{
  const int by_image = engine_schedule_by_image (&program->schedule, batch);
  const char *failure = NULL;

  if (by_image > 0) {
    Each each = {program, seconds};
    program->backend->queue_each (program->queue, run_image, &each, by_image);
  }
  if (by_image < batch)
    failure = run_by_layer (program, 0, program->cut_steps, by_image, batch - by_image, seconds);
  if (!failure)
    failure = run_by_layer (program, program->cut_steps, program->steps->len, 0, batch, seconds);
  return failure;
}
