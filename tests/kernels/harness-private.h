/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * harness-private.h: the inside of the harness, shared by its own files.
 */
#pragma once

#include "tests/kernels/harness.h"

#define HARNESS_MAX_BUFFERS  24
#define HARNESS_MAX_POINTERS 16
#define HARNESS_MAX_DEVICES  8
#define HARNESS_QUEUES       3
#define HARNESS_GUARD        128
#define HARNESS_DIGEST_START 0xcbf29ce484222325

/* --- harness-memory.c ----------------------------------------------------------------------- */

/* Pages with an inaccessible page before and behind. Grows; zero-initialise. */
typedef struct {
  uint8_t *pages;
  size_t size;
} HarnessRegion;

/* Where a buffer lies in its region. */
typedef enum { HARNESS_AT_START, HARNESS_AT_END, HARNESS_UNALIGNED, HARNESS_PLACES } HarnessPlace;
const char *harness_place_name (HarnessPlace place);

/* Room for `size` bytes and guards around them, which are filled. */
uint8_t *harness_place (HarnessRegion *region, HarnessPlace place, size_t size, size_t align);
/* The distance of the first guard byte that was overwritten from the buffer's start, in *where. */
bool harness_guards_intact (const HarnessRegion *region, const uint8_t *buffer, size_t size,
    ptrdiff_t *where);
void harness_region_free (HarnessRegion *region);

/* --- harness.c ------------------------------------------------------------------------------ */

/* A slot of KernelOps whatever its type. */
typedef struct {
  const char *name;
  void (*call) (const KernelOps *ops, const void *args, KernelQueue *queue);
  void (*(*get) (const KernelOps *ops)) (void);
} HarnessOp;
extern const HarnessOp harness_ops[];
extern const int harness_n_ops;

typedef enum { HARNESS_COMPARED, HARNESS_SAME, HARNESS_ABSENT } HarnessState;

/* A back end at one level of CPU features. */
typedef struct {
  KernelBackend *backend;
  char label[64];
  KernelQueue *queues[HARNESS_QUEUES];
  int threads[HARNESS_QUEUES];
  int n_queues;
  HarnessState state; /* of the kernel under test, as are: */
  int failures;
} HarnessDevice;

typedef struct {
  HarnessRole role;
  HarnessType type;
  size_t count, size; /* size in bytes; 0 when made */
  void *slot;
  const char *name;
  uint8_t *data;     /* what the test filled in */
  uint8_t *expected; /* what ref made of it */
  HarnessMakeFn make;
  const void *user;

  /* During a call: */
  uint8_t *memory; /* in regions[], on the host */
  size_t memory_size;
  uint8_t *device; /* a copy of the region where the back end has memory of its own, or NULL */
  uint64_t hash;   /* of made contents */
} HarnessBuffer;

struct HarnessCase {
  Harness *harness;
  const void *args;
  char description[160];
  double operations;
  HarnessBuffer buffers[HARNESS_MAX_BUFFERS];
  int n_buffers;
  struct {
    void *slot;
    int buffer;
    size_t offset;
  } pointers[HARNESS_MAX_POINTERS];
  int n_pointers;
  HarnessTacticFn tactic_name; /* or NULL */
  const void *tactic_user;
  int *tactic;
  const char *bounded; /* how the names of tactics begin that need not be exact, or NULL */
  HarnessBoundFn fill_bound;
  const void *bound_user;
  float *bound; /* of the outputs, once it was needed */
};

/* What the self-test does to outputs between a kernel and the comparison. */
typedef enum { HARNESS_HONEST, HARNESS_FLIP, HARNESS_BEFORE, HARNESS_BEHIND } HarnessSabotage;

struct Harness {
  uint64_t seed, state;
  int only_case; /* -1: all */
  int every;     /* only each of so many cases; 1: all */
  bool record;   /* calls are recorded and replayed where the back end does that */
  bool bench, quiet, print_digest;
  int stop_after;          /* failures of one kernel; 0: never */
  HarnessPlace only_place; /* HARNESS_PLACES: all in turn */
  HarnessSabotage sabotage;

  HarnessDevice ref, devices[HARNESS_MAX_DEVICES];
  int n_devices;
  HarnessRegion regions[HARNESS_MAX_BUFFERS];

  const HarnessOp *op; /* under test */
  int n_cases;
  uint64_t digest; /* of what ref computed in its cases */
  HarnessCase current;
  const HarnessDevice *running; /* for the report of a crash */
};

const HarnessOp *harness_find_op (const char *name);
/* All cases of one kernel on ref and the devices; the caller has set their state. */
void harness_test (Harness *h, const HarnessTest *test);
size_t harness_type_size (HarnessType type);
void harness_set_pointer (void *slot, const void *pointer);
void harness_case_free (HarnessCase *c);

/* --- harness-run.c, harness-bench.c --------------------------------------------------------- */

/* Chooses a tactic for the next call. Its name, or NULL when there is no such: only tactic 0 where
 * the kernel has one way. */
const char *harness_set_tactic (HarnessCase *c, const HarnessDevice *device, int tactic);
/* Puts buffers and pointers in place. */
void harness_setup (HarnessCase *c, HarnessDevice *device, int queue, HarnessPlace place);
void harness_teardown (HarnessCase *c, HarnessDevice *device);
void harness_measure (HarnessCase *c);

/* --- main.c --------------------------------------------------------------------------------- */

const HarnessTest *harness_find_test (const char *name);
bool harness_open_queues (HarnessDevice *device, int first_threads, int n_queues);
void harness_close_device (HarnessDevice *device);

/* --- self-test.c, self-test-kernels.c -------------------------------------------------------- */

/* An error to plant into the table of ref. Both lists end with an entry whose kernel is NULL; the
 * second one's errors touch the inaccessible page beside a buffer. */
typedef struct {
  const char *kernel, *what;
  void (*plant) (KernelOps *ops);
} HarnessPlanted;
extern const HarnessPlanted harness_planted[], harness_planted_crashes[];

int harness_self_test (Harness *h);
