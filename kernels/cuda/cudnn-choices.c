/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-choices.c: what cuDNN's heuristics know for a graph, which of it is allowed, and plans made of
 * it.
 */
#include "kernels/cuda/cudnn-maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KNOBS 24

/* --- Configurations ------------------------------------------------------------------------- */

typedef struct {
  cudnnBackendDescriptor_t config;
  char name[112];
} Choice;

struct CudnnChoices {
  CudnnConv conv;
  CudnnMaker maker; /* owns the graph */
  int count, most;
  Choice choices[];
};

static const char *
knob_name (cudnnBackendKnobType_t type)
{
  switch ((int) type) {
  case CUDNN_KNOB_TYPE_TILE_SIZE:
    return "tile";
  case CUDNN_KNOB_TYPE_TILE_M:
    return "m";
  case CUDNN_KNOB_TYPE_TILE_N:
    return "n";
  case CUDNN_KNOB_TYPE_TILEK:
    return "k";
  case CUDNN_KNOB_TYPE_TILE_CGA_M:
    return "cluster m";
  case CUDNN_KNOB_TYPE_TILE_CGA_N:
    return "cluster n";
  case CUDNN_KNOB_TYPE_STAGES:
    return "stages";
  case CUDNN_KNOB_TYPE_KERNEL_CFG:
    return "kernel";
  case CUDNN_KNOB_TYPE_SPLIT_K_SLC:
    return "slices";
  case CUDNN_KNOB_TYPE_SWIZZLE:
    return "swizzle";
  default:
    return NULL;
  }
}

/* Appends the knobs that people can make sense of, and the numbers of the others. */
static void
name_knobs (const CudnnApi *api, cudnnBackendDescriptor_t config, char *name, size_t size)
{
  cudnnBackendDescriptor_t knobs[MAX_KNOBS] = {NULL};
  int64_t count = 0, one;
  size_t used = strlen (name);

  for (int i = 0; i < MAX_KNOBS; i++)
    if (api->cudnnBackendCreateDescriptor (CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[i]) !=
        CUDNN_STATUS_SUCCESS)
      knobs[i] = NULL;
  if (api->cudnnBackendGetAttribute (config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
          CUDNN_TYPE_BACKEND_DESCRIPTOR, MAX_KNOBS, &count, knobs) != CUDNN_STATUS_SUCCESS)
    count = 0; /* a name without them */
  for (int64_t i = 0, said = 0; i < count && i < MAX_KNOBS; i++) {
    cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
    int64_t value = 0;

    api->cudnnBackendGetAttribute (knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE,
        1, &one, &type);
    api->cudnnBackendGetAttribute (knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1,
        &one, &value);
    if (value == 0 || used >= size)
      continue;
    if (knob_name (type))
      used += snprintf (name + used, size - used, "%s%s %lld", said++ ? ", " : ": ",
          knob_name (type), (long long) value);
    else
      used += snprintf (name + used, size - used, "%sknob %d %lld", said++ ? ", " : ": ",
          (int) type, (long long) value);
  }
  for (int i = 0; i < MAX_KNOBS; i++)
    if (knobs[i])
      api->cudnnBackendDestroyDescriptor (knobs[i]);
}

static bool
note_is_allowed (cudnnBackendNumericalNote_t numerical, const CudnnLimits *limits)
{
  switch (numerical) {
  case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
  case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
  case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
    return false; /* bytes that change from run to run or with the engine serve nobody */
  case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
    return limits->tensor_cores;
  case CUDNN_NUMERICAL_NOTE_FFT:
  case CUDNN_NUMERICAL_NOTE_WINOGRAD:
  case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
  case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
  case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
    return !limits->exact;
  default:
    return true;
  }
}

/* Reads the engine's number and notes; false where the limits forbid it, or it wants weights in an
 * order of its own. */
static bool
engine_is_allowed (const CudnnApi *api, cudnnBackendDescriptor_t engine, const CudnnLimits *limits,
    int64_t *number)
{
  cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT + 8];
  cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT + 8];
  int64_t n_numerical = 0, n_behaviour = 0, one;
  bool allowed = true;

  if (api->cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
          &one, number) != CUDNN_STATUS_SUCCESS ||
      api->cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
          CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT + 8, &n_numerical,
          numerical) != CUDNN_STATUS_SUCCESS ||
      api->cudnnBackendGetAttribute (engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
          CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT + 8, &n_behaviour,
          behaviour) != CUDNN_STATUS_SUCCESS)
    return false;
  for (int64_t i = 0; i < n_numerical; i++)
    allowed = allowed && note_is_allowed (numerical[i], limits);
  for (int64_t i = 0; i < n_behaviour; i++)
    allowed = allowed && behaviour[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER &&
              behaviour[i] != CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER;
  return allowed;
}

/* Takes the configuration, or destroys it where it is forbidden or one too many. */
static void
take_config (CudnnChoices *choices, cudnnBackendDescriptor_t config, const CudnnLimits *limits)
{
  const CudnnApi *api = choices->maker.api;
  cudnnBackendDescriptor_t engine = NULL;
  Choice *choice = &choices->choices[choices->count];
  int64_t one, number = -1;
  bool good = choices->count < choices->most &&
              api->cudnnBackendCreateDescriptor (CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) ==
                  CUDNN_STATUS_SUCCESS;

  good = good &&
         api->cudnnBackendGetAttribute (config, CUDNN_ATTR_ENGINECFG_ENGINE,
             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &engine) == CUDNN_STATUS_SUCCESS &&
         engine_is_allowed (api, engine, limits, &number);
  if (good) {
    snprintf (choice->name, sizeof choice->name, "engine %lld", (long long) number);
    name_knobs (api, config, choice->name, sizeof choice->name);
    for (int i = 0; i < choices->count; i++) /* two heuristics may have the same idea */
      good = good && strcmp (choices->choices[i].name, choice->name) != 0;
  }
  if (engine)
    api->cudnnBackendDestroyDescriptor (engine);
  if (!good) {
    api->cudnnBackendDestroyDescriptor (config);
    return;
  }
  choice->config = config;
  choices->count++;
}

/* Asks one of cuDNN's heuristics. What it does not know it has no configurations for: no failure. */
static void
ask (CudnnChoices *choices, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
    const CudnnLimits *limits)
{
  enum { MOST = 32 };
  const CudnnApi *api = choices->maker.api;
  cudnnBackendDescriptor_t heuristics = NULL, configs[MOST] = {NULL};
  int64_t count = 0;
  bool good = api->cudnnBackendCreateDescriptor (CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
                  &heuristics) == CUDNN_STATUS_SUCCESS;

  good = good &&
         api->cudnnBackendSetAttribute (heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph) == CUDNN_STATUS_SUCCESS &&
         api->cudnnBackendSetAttribute (heuristics, CUDNN_ATTR_ENGINEHEUR_MODE,
             CUDNN_TYPE_HEUR_MODE, 1, &mode) == CUDNN_STATUS_SUCCESS &&
         api->cudnnBackendFinalize (heuristics) == CUDNN_STATUS_SUCCESS;
  for (int i = 0; good && i < MOST; i++)
    good = api->cudnnBackendCreateDescriptor (CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]) ==
           CUDNN_STATUS_SUCCESS;
  if (!good || api->cudnnBackendGetAttribute (heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                   CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &count, configs) != CUDNN_STATUS_SUCCESS)
    count = 0;
  for (int i = 0; i < MOST; i++)
    if (i < count)
      take_config (choices, configs[i], limits);
    else if (configs[i])
      api->cudnnBackendDestroyDescriptor (configs[i]);
  if (heuristics)
    api->cudnnBackendDestroyDescriptor (heuristics);
}

CudnnChoices *
kernel_cudnn_choices_new (cudnnHandle_t handle, const CudnnConv *conv, const CudnnLimits *limits,
    int most, char *why, size_t why_size)
{
  CudnnChoices *choices = calloc (1, sizeof *choices + (most + 1) * sizeof *choices->choices);
  cudnnBackendDescriptor_t graph;

  if (!choices) {
    snprintf (why, why_size, "out of memory");
    return NULL;
  }
  choices->conv = *conv;
  choices->most = most;
  choices->maker.api = kernel_cudnn_api ();
  graph = kernel_cudnn_make_graph (&choices->maker, handle, conv);
  if (kernel_cudnn_failed (&choices->maker)) {
    kernel_cudnn_explain (&choices->maker, why, why_size);
    kernel_cudnn_choices_free (choices);
    return NULL;
  }
  ask (choices, graph, CUDNN_HEUR_MODE_A, limits);
  if (choices->count < most)
    ask (choices, graph, CUDNN_HEUR_MODE_FALLBACK, limits);
  return choices;
}

void
kernel_cudnn_choices_free (CudnnChoices *choices)
{
  if (!choices)
    return;
  for (int i = 0; i < choices->count; i++)
    choices->maker.api->cudnnBackendDestroyDescriptor (choices->choices[i].config);
  kernel_cudnn_clear (&choices->maker);
  free (choices);
}

int
kernel_cudnn_choices_count (const CudnnChoices *choices)
{
  return choices->count;
}

const char *
kernel_cudnn_choices_name (const CudnnChoices *choices, int i)
{
  return choices->choices[i].name;
}

/* --- Plans ---------------------------------------------------------------------------------- */

bool
kernel_cudnn_plan_init (CudnnPlan *plan, cudnnHandle_t handle, const CudnnChoices *choices, int i,
    size_t limit, char *why, size_t why_size)
{
  CudnnMaker maker = {.api = kernel_cudnn_api ()};
  cudnnBackendDescriptor_t d = kernel_cudnn_make (&maker, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  int64_t bytes = 0, one;

  kernel_cudnn_set (&maker, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
  kernel_cudnn_set_descriptor (&maker, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
      choices->choices[i].config);
  kernel_cudnn_finalise (&maker, "the plan", d);
  if (!kernel_cudnn_failed (&maker))
    kernel_cudnn_note (&maker, "the plan's workspace",
        maker.api->cudnnBackendGetAttribute (d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
            CUDNN_TYPE_INT64, 1, &one, &bytes));
  if (kernel_cudnn_failed (&maker)) {
    kernel_cudnn_explain (&maker, why, why_size);
  } else if (bytes > (int64_t) limit) {
    snprintf (why, why_size, "it needs %lld bytes of workspace, more than %zu", (long long) bytes,
        limit);
  } else {
    *plan = (CudnnPlan){.plan = d, .workspace = (size_t) bytes, .conv = choices->conv};
    return true;
  }
  kernel_cudnn_clear (&maker);
  return false;
}

void
kernel_cudnn_plan_clear (CudnnPlan *plan)
{
  if (plan->plan)
    kernel_cudnn_api ()->cudnnBackendDestroyDescriptor (plan->plan);
  plan->plan = NULL;
}

cudnnStatus_t
kernel_cudnn_plan_run (const CudnnPlan *plan, cudnnHandle_t handle, const CudnnPointers *p)
{
  const CudnnConv *c = &plan->conv;
  int64_t uids[CUDNN_UID_Y];
  void *pointers[CUDNN_UID_Y];
  int n = 0;
  CudnnMaker maker = {.api = kernel_cudnn_api ()};
  const struct {
    int64_t uid;
    const void *pointer;
    unsigned there;
  } all[] = {{CUDNN_UID_X, p->x, 1}, {CUDNN_UID_W, p->w, 1},
      {CUDNN_UID_M, p->m, c->steps & CUDNN_STEP_SCALE},
      {CUDNN_UID_B, p->b, c->steps & CUDNN_STEP_BIAS},
      {CUDNN_UID_R, p->r, c->steps & CUDNN_STEP_RESIDUAL},
      {CUDNN_UID_MR, p->mr, c->steps & CUDNN_STEP_RESIDUAL}, {CUDNN_UID_Y, p->y, 1}};

  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].there) {
      uids[n] = all[i].uid;
      pointers[n++] = (void *) (uintptr_t) all[i].pointer;
    }
  cudnnBackendDescriptor_t pack = kernel_cudnn_make (&maker, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  kernel_cudnn_set (&maker, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids);
  kernel_cudnn_set (&maker, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n,
      pointers);
  kernel_cudnn_set (&maker, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
      &p->workspace);
  kernel_cudnn_finalise (&maker, "the pointers of a run", pack);
  if (!kernel_cudnn_failed (&maker))
    kernel_cudnn_note (&maker, "the run",
        maker.api->cudnnBackendExecute (handle, plan->plan, pack));
  kernel_cudnn_clear (&maker);
  return maker.status;
}
