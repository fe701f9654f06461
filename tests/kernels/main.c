/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: the program of the harness: options, back ends, one line of result per kernel.
 */
#include "tests/kernels/harness-private.h"

#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const HarnessTest *const families[] = {harness_conv, harness_elementwise, harness_pool,
    harness_move, harness_softmax, harness_matmul, harness_pixels, harness_picture, harness_half, harness_count};
#define N_FAMILIES (sizeof families / sizeof *families)

static Harness harness = {.only_case = -1, .every = 1, .only_place = HARNESS_PLACES};
static int passed, failed, skipped;

static const char usage[] =
    "Usage: harness [OPTION]...\n"
    "Compares the kernels of every back end with the reference, byte for byte.\n"
    "\n"
    "  --backend=NAME    ref, cpu, cuda or cuda:N (default: every one that opens)\n"
    "  --function=GLOB   only kernels whose name matches, as conv_s8 or '*_f32'\n"
    "  --seed=N          random seed (default: the time)\n"
    "  --case=N          only this case of each kernel\n"
    "  --every=N         only each Nth case of each kernel\n"
    "  --record          record each call and replay it, where the back end can\n"
    "  --digest          print a digest of what ref computed, to compare machines\n"
    "  --bench           measure instead of comparing\n"
    "  --threads=N       threads in the bench (default 1; 0: all CPUs)\n"
    "  --self-test       plant errors and require that they are found\n"
    "  --list            names of the kernels\n"
    "  --help\n"
    "\n"
    "The last line is \"N passed, N failed, N skipped\"; the exit status is 1 when one failed.\n";

const HarnessTest *
harness_find_test (const char *name)
{
  for (size_t f = 0; f < N_FAMILIES; f++)
    for (const HarnessTest *t = families[f]; t->kernel; t++)
      if (strcmp (t->kernel, name) == 0)
        return t;
  return NULL;
}

/* --- Devices -------------------------------------------------------------------------------- */

bool
harness_open_queues (HarnessDevice *device, int first_threads, int n_queues)
{
  for (int i = 0; i < n_queues; i++) {
    device->threads[i] = first_threads + i;
    device->queues[i] = device->backend->queue_new (device->backend, first_threads + i);
    if (!device->queues[i])
      return false;
    device->n_queues = i + 1;
  }
  return true;
}

void
harness_close_device (HarnessDevice *device)
{
  for (int i = 0; i < device->n_queues; i++)
    device->backend->queue_free (device->queues[i]);
  kernel_close (device->backend);
  *device = (HarnessDevice){0};
}

/* `cpu` is part of every build, so that it must open; the others need what a machine may lack. */
static void
open_device (const char *name, int threads)
{
  const bool must = strcmp (name, "cpu") == 0;
  HarnessDevice *device = &harness.devices[harness.n_devices];
  char why[256];

  device->backend = kernel_open (name, why, sizeof why);
  if (!device->backend) {
    printf ("%s back end %s: %s\n", must ? "FAIL" : "SKIP", name, why);
    failed += must;
    skipped += !must;
    return;
  }
  snprintf (device->label, sizeof device->label, "%s %s", name, device->backend->description);
  harness.n_devices++;
  if (!(harness.bench ? harness_open_queues (device, threads, 1)
                      : harness_open_queues (device, 1, HARNESS_QUEUES))) {
    printf ("FAIL %s: no queue of %d threads\n", device->label, device->n_queues + 1);
    failed++;
  }
}

/* The back end `cpu` once for each level of features that this machine has. */
static void
open_cpu_levels (int threads)
{
  enum {
    vnni = KERNEL_CPU_AVX2 | KERNEL_CPU_AVX512 | KERNEL_CPU_AVX512_VNNI,
    vbmi = vnni | KERNEL_CPU_AVX512_VBMI
  };
  static const struct {
    unsigned mask;
    const char *name;
  } levels[] = {{0, "no features"},
#ifdef __aarch64__
      {KERNEL_CPU_NEON, "NEON"}, {KERNEL_CPU_NEON | KERNEL_CPU_NEON_DOT, "NEON dot product"}
#else
      {KERNEL_CPU_AVX2, "AVX2"}, {KERNEL_CPU_AVX2 | KERNEL_CPU_AVX_VNNI, "AVX-VNNI"},
      {KERNEL_CPU_AVX2 | KERNEL_CPU_AVX512, "AVX-512"}, {vnni, "AVX-512 VNNI"},
      {vbmi, "AVX-512 VBMI"}, {vbmi | KERNEL_CPU_AMX_INT8, "AMX int8"}
#endif
  };

  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    kernel_cpu_set_mask (levels[i].mask);
    if (kernel_cpu_flags () == levels[i].mask) {
      open_device ("cpu", threads);
    } else {
      printf ("SKIP cpu with %s: not on this machine, or masked\n", levels[i].name);
      skipped++;
    }
  }
  kernel_cpu_set_mask (~0u);
}

static void
open_devices (const char *name, int threads)
{
  char why[256];

  harness.ref.backend = kernel_open ("ref", why, sizeof why);
  harness_require (harness.ref.backend && harness_open_queues (&harness.ref, 1, 1),
      "the back end ref does not open");
  snprintf (harness.ref.label, sizeof harness.ref.label, "ref");
  if (!name || strcmp (name, "cpu") == 0)
    open_cpu_levels (threads);
  if (!name)
    open_device ("cuda", threads);
  else if (strcmp (name, "cpu") != 0 && strcmp (name, "ref") != 0)
    open_device (name, threads);
}

/* --- Running -------------------------------------------------------------------------------- */

static bool
same_kernel (const HarnessOp *op, const KernelOps *a, const KernelOps *b)
{
  const bool packs =
      a->conv_s8_pack == b->conv_s8_pack && a->conv_f32_pack == b->conv_f32_pack &&
      a->conv_s8_scratch == b->conv_s8_scratch && a->conv_f32_scratch == b->conv_f32_scratch &&
      a->conv_s8_tactic == b->conv_s8_tactic && a->conv_f32_tactic == b->conv_f32_tactic;

  return op->get (a) == op->get (b) && (packs || strncmp (op->name, "conv_", 5) != 0);
}

/* What to do with a device, and why in words. A kernel that has been compared is not compared
 * again. */
static const char *
choose_state (const HarnessOp *op, int i, char *text, size_t size)
{
  HarnessDevice *device = &harness.devices[i];

  if (!op->get (device->backend->ops)) {
    device->state = HARNESS_ABSENT;
    return "absent";
  }
  device->state = HARNESS_SAME;
  if (same_kernel (op, device->backend->ops, harness.ref.backend->ops))
    return "as ref";
  for (int j = 0; j < i; j++) {
    if (same_kernel (op, device->backend->ops, harness.devices[j].backend->ops)) {
      snprintf (text, size, "as %s", harness.devices[j].backend->description);
      return text;
    }
  }
  device->state = HARNESS_COMPARED;
  return "ok";
}

static void
report (const HarnessDevice *device, const char *word)
{
  printf ("  %s: %s", device->label, device->failures ? "FAILED" : word);
  if (device->failures)
    printf (" %d times", device->failures);
  failed += device->failures > 0;
  passed += device->failures == 0 && device->state == HARNESS_COMPARED;
}

static void
run_test (const HarnessTest *test)
{
  const HarnessOp *op = harness_find_op (test->kernel);
  char text[HARNESS_MAX_DEVICES][64];
  const char *words[HARNESS_MAX_DEVICES];

  if (!op || !op->get (harness.ref.backend->ops)) {
    printf ("FAIL %s: %s\n", test->kernel, op ? "ref does not have it" : "no such kernel");
    failed++;
    return;
  }
  for (int i = 0; i < harness.n_devices; i++)
    words[i] = choose_state (op, i, text[i], sizeof text[i]);
  harness_test (&harness, test);
  if (harness.bench)
    return;
  if (harness.n_cases == 0) {
    printf ("FAIL %s: its test made no case\n", test->kernel);
    failed++;
    return;
  }
  printf ("%-16s %5d cases", test->kernel, harness.n_cases);
  report (&harness.ref, "ok");
  for (int i = 0; i < harness.n_devices; i++)
    report (&harness.devices[i], words[i]);
  if (harness.print_digest)
    printf ("  digest %016llx", (unsigned long long) harness.digest);
  printf ("\n");
  fflush (stdout);
}

static void
run_all (const char *glob)
{
  bool any = false;

  if (harness.bench)
    printf ("%-14s %-48s %-30s %3s %14s %9s %5s %9s\n", "kernel", "case", "back end", "thr",
        "ns/call", "rate", "", "x ref");
  for (int i = 0; i < harness_n_ops; i++) {
    const HarnessTest *test = harness_find_test (harness_ops[i].name);

    if (fnmatch (glob, harness_ops[i].name, 0) != 0)
      continue;
    any = true;
    if (test) {
      run_test (test);
    } else {
      printf ("FAIL %s: no family tests it\n", harness_ops[i].name);
      failed++;
    }
  }
  if (!any) {
    printf ("FAIL no kernel is named %s; see --list\n", glob);
    failed++;
  }
}

/* --- The program ---------------------------------------------------------------------------- */

/* A kernel touched what is not its own. Nothing is locked then, so that formatting is safe. */
static void
on_crash (int number)
{
  char text[512];
  const int size = snprintf (text, sizeof text,
      "\nFAIL %s crashed (signal %d) on %s, case %d: %s\n"
      "     again: --function=%s --seed=0x%llx --case=%d\n",
      harness.op ? harness.op->name : "?", number,
      harness.running ? harness.running->label : "no back end", harness.n_cases,
      harness.current.description, harness.op ? harness.op->name : "*",
      (unsigned long long) harness.seed, harness.n_cases);

  if (!harness.quiet && write (STDOUT_FILENO, text, size) < 0)
    _exit (2);
  signal (number, SIG_DFL); /* returning runs into it again */
}

static void
parse_number (const char *option, const char *text, long long min, long long max, uint64_t *value)
{
  char *end;
  const long long n = strtoll (text, &end, 0);

  if (*text == '\0' || *end != '\0' || n < min || n > max) {
    fprintf (stderr, "harness: --%s=%s: not a number from %lld to %lld\n", option, text, min, max);
    exit (2);
  }
  *value = n;
}

typedef struct {
  const char *backend, *glob;
  uint64_t threads;
  bool self_test, list, help;
} Options;

/* False when an option is not known, after saying so. */
static bool
parse_options (int argc, char **argv, Options *o)
{
  enum { BACKEND, FUNCTION, SEED, CASE, EVERY, RECORD, DIGEST, BENCH, THREADS };
  enum { SELF_TEST = THREADS + 1, LIST, HELP };
  static const struct option options[] = {{"backend", required_argument, NULL, BACKEND},
      {"function", required_argument, NULL, FUNCTION}, {"seed", required_argument, NULL, SEED},
      {"case", required_argument, NULL, CASE}, {"every", required_argument, NULL, EVERY},
      {"record", no_argument, NULL, RECORD}, {"digest", no_argument, NULL, DIGEST},
      {"bench", no_argument, NULL, BENCH}, {"threads", required_argument, NULL, THREADS},
      {"self-test", no_argument, NULL, SELF_TEST}, {"list", no_argument, NULL, LIST},
      {"help", no_argument, NULL, HELP}, {0}};
  uint64_t number;
  int option;

  while ((option = getopt_long (argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case BACKEND:
      o->backend = optarg;
      break;
    case FUNCTION:
      o->glob = optarg;
      break;
    case SEED:
      parse_number ("seed", optarg, 0, INT64_MAX, &harness.seed);
      break;
    case CASE:
      parse_number ("case", optarg, 0, INT32_MAX, &number);
      harness.only_case = number;
      break;
    case EVERY:
      parse_number ("every", optarg, 1, INT32_MAX, &number);
      harness.every = number;
      break;
    case RECORD:
      harness.record = true;
      break;
    case DIGEST:
      harness.print_digest = true;
      break;
    case BENCH:
      harness.bench = true;
      break;
    case THREADS:
      parse_number ("threads", optarg, 0, 1024, &o->threads);
      break;
    case SELF_TEST:
      o->self_test = true;
      break;
    case LIST:
      o->list = true;
      break;
    case HELP:
      o->help = true;
      break;
    default:
      return false;
    }
  }
  if (optind < argc)
    fprintf (stderr, "harness: %s: not an option\n", argv[optind]);
  return optind == argc;
}

static int
run_harness (const Options *o)
{
  printf ("seed 0x%llx\n", (unsigned long long) harness.seed);
  open_devices (o->backend, o->threads);
  if (!o->backend || harness.n_devices > 0 || strcmp (o->backend, "ref") == 0)
    run_all (o->glob);
  for (int i = 0; i < harness.n_devices; i++)
    harness_close_device (&harness.devices[i]);
  harness_close_device (&harness.ref);
  for (int i = 0; i < HARNESS_MAX_BUFFERS; i++)
    harness_region_free (&harness.regions[i]);
  printf ("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : passed || harness.bench ? 0 : 77;
}

int
main (int argc, char **argv)
{
  Options o = {.glob = "*", .threads = 1};

  harness.seed = time (NULL);
  if (!parse_options (argc, argv, &o)) {
    fputs (usage, stderr);
    return 2;
  }
  if (o.help) {
    fputs (usage, stdout);
    return 0;
  }
  for (int i = 0; o.list && i < harness_n_ops; i++)
    puts (harness_ops[i].name);
  if (o.list)
    return 0;
  signal (SIGSEGV, on_crash);
  signal (SIGBUS, on_crash);
  signal (SIGILL, on_crash);
  signal (SIGFPE, on_crash);
  return o.self_test ? harness_self_test (&harness) : run_harness (&o);
}
