/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness-bench.c: the time of one call, on ref and on every device.
 */
#include "tests/kernels/harness-private.h"

#include <stdio.h>
#include <time.h>

#define BATCH_NS 20e6 /* calls are timed in batches of about this long */
#define BATCHES  5    /* the fastest counts: other programs only ever add time */

static double
now_ns (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static double
run_batch (HarnessCase *c, HarnessDevice *device, long calls)
{
  const double start = now_ns ();

  for (long i = 0; i < calls; i++)
    c->harness->op->call (device->backend->ops, c->args, device->queues[0]);
  device->backend->queue_wait (device->queues[0]);
  return now_ns () - start;
}

static double
measure (HarnessCase *c, HarnessDevice *device)
{
  double best, batch;
  long calls = 1;

  harness_setup (c, device, 0, HARNESS_AT_START);
  batch = run_batch (c, device, calls); /* warms up */
  while ((batch = run_batch (c, device, calls)) < BATCH_NS / 2)
    calls *= 2;
  best = batch / calls;
  for (int i = 0; i < BATCHES && batch < BATCHES * BATCH_NS; i++) {
    batch = run_batch (c, device, calls);
    best = batch / calls < best ? batch / calls : best;
  }
  harness_teardown (c, device);
  return best;
}

static void
print_row (const HarnessCase *c, const HarnessDevice *device, const char *tactic, double ns,
    double ref_ns)
{
  double bytes = 0;
  char label[sizeof device->label + 32];

  for (int i = 0; i < c->n_buffers; i++)
    bytes += c->buffers[i].role == HARNESS_SCRATCH ? 0 : c->buffers[i].memory_size;
  snprintf (label, sizeof label, "%s%s%s", device->label, *tactic ? ", " : "", tactic);
  printf ("%-14s %-48.48s %-30s %3d %14.0f %9.2f %s %9.2f\n", c->harness->op->name, c->description,
      label, device->threads[0], ns, (c->operations > 0 ? c->operations : bytes) / ns,
      c->operations > 0 ? "GOP/s" : "GB/s ", ref_ns / ns);
  fflush (stdout);
}

void
harness_measure (HarnessCase *c)
{
  Harness *h = c->harness;
  harness_set_tactic (c, &h->ref, 0);

  const double ref_ns = measure (c, &h->ref);

  print_row (c, &h->ref, "", ref_ns, ref_ns);
  for (int i = 0; i < h->n_devices; i++) {
    HarnessDevice *device = &h->devices[i];
    const bool several = harness_set_tactic (c, device, 1) != NULL;
    const char *tactic;

    if (device->state != HARNESS_COMPARED)
      continue;
    for (int t = several; (tactic = harness_set_tactic (c, device, t)); t++)
      print_row (c, device, tactic, measure (c, device), ref_ns);
  }
}
