/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness-run.c: running a case on ref and on the devices, comparing, reporting.
 */
#include "kernels/half.h"
#include "tests/kernels/harness-private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_SHOWN 3 /* of one kernel on one device */

/* --- Reporting ------------------------------------------------------------------------------ */

static void fail (HarnessCase *c, HarnessDevice *device, int queue, HarnessPlace place,
    const char *format, ...) __attribute__ ((format (printf, 5, 6)));

static void
fail (HarnessCase *c, HarnessDevice *device, int queue, HarnessPlace place, const char *format, ...)
{
  const Harness *h = c->harness;
  va_list list;

  if (++device->failures > FAILURES_SHOWN || h->quiet)
    return;
  printf ("FAIL %s on %s, %d thread%s, buffers %s, case %d: %s", h->op->name, device->label,
      device->threads[queue], device->threads[queue] == 1 ? "" : "s", harness_place_name (place),
      h->n_cases, c->description);
  if (c->tactic && *c->tactic > 0)
    printf (", %s", c->tactic_name (c->tactic_user, device->backend->ops, *c->tactic));
  printf ("\n     ");
  va_start (list, format);
  vprintf (format, list);
  va_end (list);
  printf ("\n     again: --function=%s --backend=%s --seed=0x%llx --case=%d\n", h->op->name,
      device->backend->name, (unsigned long long) h->seed, h->n_cases);
}

/* Element i of floats or halves. */
static float
float_of (HarnessType type, const uint8_t *data, size_t i)
{
  KernelHalf half;
  float value;

  if (type == HARNESS_F16) {
    memcpy (&half, data + i * sizeof half, sizeof half);
    return kernel_half_to_f32 (half);
  }
  memcpy (&value, data + i * sizeof value, sizeof value);
  return value;
}

static bool
is_float (HarnessType type)
{
  return type == HARNESS_F16 || type == HARNESS_F32;
}

static void
print_element (char *text, size_t size, HarnessType type, const uint8_t *data, size_t i)
{
  float f;
  int32_t n;
  uint64_t wide;

  switch (type) {
  case HARNESS_F16:
  case HARNESS_F32:
    f = float_of (type, data, i);
    snprintf (text, size, "%a (%.9g)", f, f);
    break;
  case HARNESS_I32:
    memcpy (&n, data + i * sizeof n, sizeof n);
    snprintf (text, size, "%d", n);
    break;
  case HARNESS_U64:
    memcpy (&wide, data + i * sizeof wide, sizeof wide);
    snprintf (text, size, "%llu", (unsigned long long) wide);
    break;
  case HARNESS_S8:
    snprintf (text, size, "%d", (int8_t) data[i]);
    break;
  case HARNESS_U8:
    snprintf (text, size, "%d", data[i]);
    break;
  }
}

/* --- Running -------------------------------------------------------------------------------- */

/* FNV-1a, from HARNESS_DIGEST_START or the hash of what came before. */
static uint64_t
hash_bytes (uint64_t hash, const uint8_t *data, size_t size)
{
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ data[i]) * 0x100000001b3;
  return hash;
}

/* What a kernel finds in a buffer differs between ref and the others where it must not matter. */
static void
fill_buffer (HarnessBuffer *b, bool is_ref, const KernelOps *ops, KernelQueue *queue)
{
  if (b->role == HARNESS_SCRATCH) {
    memset (b->memory, 0xff, b->memory_size); /* NaN as float */
  } else if (b->role == HARNESS_OUT) {
    memset (b->memory, is_ref ? 0x55 : 0xaa, b->memory_size);
  } else if (b->make) {
    memset (b->memory, 0xaa, b->memory_size);
    harness_require (b->make (b->user, ops, queue, b->memory) == b->memory_size,
        "a pack function returned two different sizes");
    b->hash = hash_bytes (HARNESS_DIGEST_START, b->memory, b->memory_size);
  } else {
    memcpy (b->memory, b->data, b->memory_size);
  }
}

/* The bytes around a buffer that go to the device with it. */
static size_t
margin (const HarnessRegion *region, const HarnessBuffer *b, size_t *behind)
{
  const size_t before = b->memory - region->pages;

  *behind = region->size - before - b->memory_size;
  *behind = *behind < HARNESS_GUARD ? *behind : HARNESS_GUARD;
  return before < HARNESS_GUARD ? before : HARNESS_GUARD;
}

static uint8_t *
to_device (Harness *h, int i, HarnessDevice *device, KernelQueue *queue)
{
  HarnessBuffer *b = &h->current.buffers[i];
  size_t behind;
  const size_t before = margin (&h->regions[i], b, &behind);

  b->device = device->backend->alloc (device->backend, before + b->memory_size + behind);
  harness_require (b->device != NULL, "the back end is out of memory");
  device->backend->upload (queue, b->device, b->memory - before, before + b->memory_size + behind);
  return b->device + before;
}

const char *
harness_set_tactic (HarnessCase *c, const HarnessDevice *device, int tactic)
{
  if (!c->tactic)
    return tactic == 0 ? "" : NULL;
  *c->tactic = tactic;
  return c->tactic_name (c->tactic_user, device->backend->ops, tactic);
}

void
harness_setup (HarnessCase *c, HarnessDevice *device, int queue, HarnessPlace place)
{
  Harness *h = c->harness;
  const KernelOps *ops = device->backend->ops;
  uint8_t *address[HARNESS_MAX_BUFFERS];

  for (int i = 0; i < c->n_buffers; i++) {
    HarnessBuffer *b = &c->buffers[i];
    const bool aligned = b->make || b->role == HARNESS_SCRATCH;

    b->memory_size = b->make ? b->make (b->user, ops, device->queues[queue], NULL) : b->size;
    b->memory = harness_place (&h->regions[i], place, b->memory_size,
        aligned ? KERNEL_ALIGN : harness_type_size (b->type));
    fill_buffer (b, device == &h->ref, ops, device->queues[queue]);
    address[i] =
        device->backend->host_memory ? b->memory : to_device (h, i, device, device->queues[queue]);
    /* What needs no scratch gets none. */
    harness_set_pointer (b->slot, aligned && b->memory_size == 0 ? NULL : address[i]);
  }
  for (int i = 0; i < c->n_pointers; i++)
    harness_set_pointer (c->pointers[i].slot,
        address[c->pointers[i].buffer] + c->pointers[i].offset);
}

void
harness_teardown (HarnessCase *c, HarnessDevice *device)
{
  for (int i = 0; i < c->n_buffers; i++) {
    if (c->buffers[i].device)
      device->backend->free (device->backend, c->buffers[i].device);
    c->buffers[i].device = NULL;
  }
}

static void
sabotage (HarnessCase *c, HarnessSabotage how, HarnessPlace place)
{
  const HarnessBuffer *b = &c->buffers[c->n_buffers - 1];
  size_t i;

  while (b->role != HARNESS_OUT && b->role != HARNESS_IN_OUT)
    b--;
  switch (how) {
  case HARNESS_FLIP:
    i = c->harness->n_cases * (size_t) 7919 % b->count;
    b->memory[i * harness_type_size (b->type)] ^= 1; /* of a float the lowest: little-endian */
    break;
  case HARNESS_BEFORE:
    b->memory[place == HARNESS_AT_START ? 0 : -1] ^= 1;
    break;
  case HARNESS_BEHIND:
    b->memory[place == HARNESS_AT_END ? b->memory_size - 1 : b->memory_size] ^= 1;
    break;
  case HARNESS_HONEST:
    break;
  }
}

/* Where the call is recorded first, a failure shows in queue_wait(). */
static void
call_kernel (HarnessCase *c, HarnessDevice *device, KernelQueue *queue)
{
  const Harness *h = c->harness;
  KernelBackend *backend = device->backend;
  KernelRecording *recording;

  if (!h->record || !backend->record_begin) {
    h->op->call (backend->ops, c->args, queue);
    return;
  }
  backend->record_begin (queue);
  h->op->call (backend->ops, c->args, queue);
  recording = backend->record_end (queue);
  if (!recording)
    return;
  backend->replay (queue, recording);
  backend->recording_free (queue, recording);
}

static void
call (HarnessCase *c, HarnessDevice *device, int queue, HarnessPlace place)
{
  Harness *h = c->harness;
  KernelQueue *q = device->queues[queue];
  const char *error;

  harness_setup (c, device, queue, place);
  h->running = device;
  call_kernel (c, device, q);
  h->running = NULL;
  for (int i = 0; i < c->n_buffers; i++) {
    HarnessBuffer *b = &c->buffers[i];
    size_t behind;

    if (b->device) {
      const size_t before = margin (&h->regions[i], b, &behind);

      device->backend->download (q, b->memory - before, b->device,
          before + b->memory_size + behind);
    }
  }
  error = device->backend->queue_wait (q);
  if (error)
    fail (c, device, queue, place, "the queue failed: %s", error);
  harness_teardown (c, device);
  if (device != &h->ref)
    sabotage (c, h->sabotage, place);
}

/* --- Comparing ------------------------------------------------------------------------------ */

static bool
equal (HarnessType type, const uint8_t *a, const uint8_t *b, size_t i)
{
  const size_t size = harness_type_size (type);

  if (memcmp (a + i * size, b + i * size, size) == 0)
    return true;
  return is_float (type) && isnan (float_of (type, a, i)) && isnan (float_of (type, b, i));
}

/* NULL where the tactic has to be exact. */
static const float *
bound_of (HarnessCase *c, const HarnessBuffer *b, const HarnessDevice *device)
{
  const char *name;

  if (!c->bounded || b->type != HARNESS_F32)
    return NULL;
  name = c->tactic_name (c->tactic_user, device->backend->ops, *c->tactic);
  if (!name || strncmp (name, c->bounded, strlen (c->bounded)) != 0)
    return NULL;
  if (!c->bound) {
    c->bound = malloc (b->size ? b->size : 1);
    harness_require (c->bound != NULL, "out of memory");
    c->fill_bound (c->bound_user, c->bound);
  }
  return c->bound;
}

static bool
within (const float *bound, const uint8_t *a, const uint8_t *b, size_t i)
{
  float fa, fb;

  memcpy (&fa, a + i * sizeof fa, sizeof fa);
  memcpy (&fb, b + i * sizeof fb, sizeof fb);
  return isinf (bound[i]) || fabsf (fa - fb) <= bound[i];
}

static void
compare_output (HarnessCase *c, const HarnessBuffer *b, HarnessDevice *device, int queue,
    HarnessPlace place)
{
  const float *bound = bound_of (c, b, device);
  size_t first = 0, different = 0;
  char got[48], expected[48];

  for (size_t i = 0; i < b->count; i++)
    if (!equal (b->type, b->memory, b->expected, i) &&
        !(bound && within (bound, b->memory, b->expected, i)) && different++ == 0)
      first = i;
  if (different == 0)
    return;
  print_element (got, sizeof got, b->type, b->memory, first);
  print_element (expected, sizeof expected, b->type, b->expected, first);
  fail (c, device, queue, place, "%s[%zu] of %zu is %s, not %s; %zu differ", b->name, first,
      b->count, got, expected, different);
}

static void
check_discipline (HarnessCase *c, int i, HarnessDevice *device, int queue, HarnessPlace place)
{
  const HarnessBuffer *b = &c->buffers[i];
  ptrdiff_t where;

  if (!harness_guards_intact (&c->harness->regions[i], b->memory, b->memory_size, &where))
    fail (c, device, queue, place, "wrote at byte %td of %s, which has %zu", where, b->name,
        b->memory_size);
  if (b->role == HARNESS_IN &&
      (b->make ? hash_bytes (HARNESS_DIGEST_START, b->memory, b->memory_size) != b->hash
               : memcmp (b->memory, b->data, b->size) != 0))
    fail (c, device, queue, place, "wrote into its input %s", b->name);
}

/* Any NaN counts as any other, as in equal(). */
static uint64_t
digest_output (uint64_t digest, const HarnessBuffer *b)
{
  const size_t size = harness_type_size (b->type);

  for (size_t i = 0; i < b->count; i++) {
    const float f = is_float (b->type) ? float_of (b->type, b->expected, i) : 0;

    digest = isnan (f) ? hash_bytes (digest, (const uint8_t *) "NaN", 3)
                       : hash_bytes (digest, b->expected + i * size, size);
  }
  return digest;
}

static void
run_on_ref (HarnessCase *c)
{
  HarnessDevice *ref = &c->harness->ref;

  harness_set_tactic (c, ref, 0);
  call (c, ref, 0, HARNESS_AT_END);
  for (int i = 0; i < c->n_buffers; i++) {
    HarnessBuffer *b = &c->buffers[i];

    check_discipline (c, i, ref, 0, HARNESS_AT_END);
    if (b->role == HARNESS_OUT || b->role == HARNESS_IN_OUT) {
      b->expected = malloc (b->size ? b->size : 1);
      harness_require (b->expected != NULL, "out of memory");
      memcpy (b->expected, b->memory, b->size);
      c->harness->digest = digest_output (c->harness->digest, b);
    }
  }
}

static void
run_on_device (HarnessCase *c, HarnessDevice *device, int queue)
{
  const Harness *h = c->harness;
  const HarnessPlace place = h->only_place < HARNESS_PLACES
                                 ? h->only_place
                                 : (HarnessPlace) ((queue + h->n_cases) % HARNESS_PLACES);

  call (c, device, queue, place);
  for (int i = 0; i < c->n_buffers; i++) {
    check_discipline (c, i, device, queue, place);
    if (c->buffers[i].expected)
      compare_output (c, &c->buffers[i], device, queue, place);
  }
}

/* With every tactic: the back end's own on all queues, the others on one in turn, which together take
 * as long as that one. */
static void
run_tactics (HarnessCase *c, HarnessDevice *device)
{
  for (int q = 0; q < device->n_queues && harness_set_tactic (c, device, 0); q++)
    run_on_device (c, device, q);
  for (int tactic = 1; harness_set_tactic (c, device, tactic); tactic++)
    run_on_device (c, device, (c->harness->n_cases + tactic) % device->n_queues);
}

static bool
enough (const Harness *h)
{
  for (int i = 0; i < h->n_devices; i++)
    if (h->stop_after && h->devices[i].failures >= h->stop_after)
      return true;
  return false;
}

void
harness_run (HarnessCase *c)
{
  Harness *h = c->harness;

  if (enough (h) || (h->only_case >= 0 && h->only_case != h->n_cases) ||
      (h->every > 1 && h->n_cases % h->every != 0)) {
    ;
  } else if (h->bench) {
    harness_measure (c);
  } else {
    run_on_ref (c);
    for (int i = 0; i < h->n_devices; i++)
      if (h->devices[i].state == HARNESS_COMPARED)
        run_tactics (c, &h->devices[i]);
  }
  harness_case_free (c);
  h->n_cases++;
}
