/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness.c: the table of kernels, and building a case.
 */
#include "tests/kernels/harness-private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A generic pointer to function is only compared, never called. */
#define KERNEL_OP(name, Args)                                                                      \
  static void call_##name (const KernelOps *ops, const void *args, KernelQueue *queue)             \
  {                                                                                                \
    ops->name ((const Args *) args, queue);                                                        \
  }                                                                                                \
  static void (*get_##name (const KernelOps *ops)) (void)                                          \
  {                                                                                                \
    return (void (*) (void)) ops->name;                                                            \
  }
#include "kernels/kernel-ops.inc"
#undef KERNEL_OP

#define KERNEL_OP(name, Args) {#name, call_##name, get_##name},
const HarnessOp harness_ops[] = {
#include "kernels/kernel-ops.inc"
};
#undef KERNEL_OP
const int harness_n_ops = sizeof harness_ops / sizeof *harness_ops;

const HarnessOp *
harness_find_op (const char *name)
{
  for (int i = 0; i < harness_n_ops; i++)
    if (strcmp (harness_ops[i].name, name) == 0)
      return &harness_ops[i];
  return NULL;
}

void
harness_require (bool condition, const char *what)
{
  if (condition)
    return;
  fprintf (stderr, "harness: %s\n", what);
  abort ();
}

/* --- Building ------------------------------------------------------------------------------- */

HarnessCase *
harness_case (Harness *h, const void *args, const char *description, ...)
{
  HarnessCase *c = &h->current;
  va_list list;

  *c = (HarnessCase){.harness = h, .args = args};
  va_start (list, description);
  vsnprintf (c->description, sizeof c->description, description, list);
  va_end (list);
  h->state = h->seed + (uint64_t) (h->op - harness_ops) * 1000003 + h->n_cases;
  h->state = harness_random (h);
  return c;
}

size_t
harness_type_size (HarnessType type)
{
  static const size_t sizes[] = {[HARNESS_S8] = 1,
      [HARNESS_U8] = 1,
      [HARNESS_I32] = sizeof (int32_t),
      [HARNESS_U64] = sizeof (uint64_t),
      [HARNESS_F16] = sizeof (KernelHalf),
      [HARNESS_F32] = sizeof (float)};

  return sizes[type];
}

void
harness_set_pointer (void *slot, const void *pointer)
{
  memcpy (slot, &pointer, sizeof pointer);
}

static HarnessBuffer *
add_buffer (HarnessCase *c, HarnessRole role, void *slot, const char *name)
{
  HarnessBuffer *b = &c->buffers[c->n_buffers++];

  harness_require (c->n_buffers <= HARNESS_MAX_BUFFERS,
      "too many buffers; raise HARNESS_MAX_BUFFERS");
  *b = (HarnessBuffer){.role = role, .type = HARNESS_U8, .slot = slot, .name = name};
  return b;
}

void *
harness_buffer (HarnessCase *c, HarnessRole role, HarnessType type, size_t count, void *slot,
    const char *name)
{
  HarnessBuffer *b = add_buffer (c, role, slot, name);

  b->type = type;
  b->count = count;
  b->size = count * harness_type_size (type);
  b->data = calloc (1, b->size ? b->size : 1);
  harness_require (b->data != NULL, "out of memory");
  harness_set_pointer (slot, b->data);
  return b->data;
}

void
harness_point (HarnessCase *c, void *slot, const void *data, size_t offset)
{
  int buffer = 0;

  while (buffer < c->n_buffers && c->buffers[buffer].data != data)
    buffer++;
  harness_require (buffer < c->n_buffers, "harness_point(): data is not a buffer of this case");
  harness_require (c->n_pointers < HARNESS_MAX_POINTERS, "too many pointers");
  c->pointers[c->n_pointers].slot = slot;
  c->pointers[c->n_pointers].buffer = buffer;
  c->pointers[c->n_pointers++].offset = offset;
  harness_set_pointer (slot, (const uint8_t *) data + offset);
}

void
harness_scratch (HarnessCase *c, size_t size, void *slot)
{
  add_buffer (c, HARNESS_SCRATCH, slot, "scratch")->size = size;
}

void
harness_made_in (HarnessCase *c, HarnessMakeFn make, const void *user, void *slot)
{
  HarnessBuffer *b = add_buffer (c, HARNESS_IN, slot, "packed data");

  b->make = make;
  b->user = user;
}

void
harness_made_scratch (HarnessCase *c, HarnessMakeFn make, const void *user, void *slot)
{
  HarnessBuffer *b = add_buffer (c, HARNESS_SCRATCH, slot, "scratch");

  b->make = make;
  b->user = user;
}

void
harness_tactics (HarnessCase *c, HarnessTacticFn name, const void *user, int *tactic)
{
  c->tactic_name = name;
  c->tactic_user = user;
  c->tactic = tactic;
}

void
harness_tolerance (HarnessCase *c, const char *tactics, HarnessBoundFn fill, const void *user)
{
  c->bounded = tactics;
  c->fill_bound = fill;
  c->bound_user = user;
}

void
harness_operations (HarnessCase *c, double operations)
{
  c->operations = operations;
}

void
harness_case_free (HarnessCase *c)
{
  for (int i = 0; i < c->n_buffers; i++) {
    free (c->buffers[i].data);
    free (c->buffers[i].expected);
  }
  c->n_buffers = 0;
  free (c->bound);
  c->bound = NULL;
}

void
harness_test (Harness *h, const HarnessTest *test)
{
  h->op = harness_find_op (test->kernel);
  harness_require (h->op != NULL, "a test names a kernel that kernel-ops.inc does not have");
  h->n_cases = 0;
  h->digest = HARNESS_DIGEST_START;
  h->state = h->seed;
  h->ref.failures = 0;
  for (int i = 0; i < h->n_devices; i++)
    h->devices[i].failures = 0;
  if (!h->bench)
    test->test (h);
  else if (test->bench)
    test->bench (h);
}
