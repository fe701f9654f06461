/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taps.c: a tap sees every activation of every image once a run, wherever the groups end, however many
 * threads show them, by layer and by image.
 */
#include "engine/taps.h"
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#define BATCH 3

static KernelBackend *ref, *cpu;

typedef struct {
  int images;
  guint64 sum; /* over the images: in any order */
} Activation;

typedef struct {
  GMutex mutex;
  GHashTable *activations; /* name to Activation */
} Seen;

static guint64
hash_of (const guint8 *bytes, gsize n)
{
  guint64 hash = 0xcbf29ce484222325; /* FNV-1a */

  for (gsize i = 0; i < n; i++)
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

static void
note (const EngineTap *tap, gpointer data)
{
  const gsize size = tap->elements * (tap->type == ENGINE_TYPE_S8 ? 1 : sizeof (float));
  Seen *seen = data;
  guint64 sum = 0;

  for (gsize i = 0; i < tap->n; i++)
    sum += hash_of ((const guint8 *) tap->x + i * size, size);
  g_mutex_lock (&seen->mutex);
  Activation *a = g_hash_table_lookup (seen->activations, tap->name);
  if (!a)
    g_hash_table_insert (seen->activations, g_strdup (tap->name), a = g_new0 (Activation, 1));
  a->images += (int) tap->n;
  a->sum += sum;
  g_mutex_unlock (&seen->mutex);
}

/* What a run of `batch` images shows; the caller's to unref. */
static GHashTable *
shown (Engine *engine, KernelBackend *backend, int threads, gsize group_bytes, gboolean by_image,
    EnginePlanFlags flags, int batch, guint32 seed, int *n_groups)
{
  const EngineSchedule schedule = {.cut = by_image ? (int) engine->graph->nodes->len : 0,
      .lanes = by_image ? 0 : 1};
  g_autoptr (EngineTaps) taps = engine_taps_new (engine->graph, BATCH, group_bytes);
  const EngineProgramOptions options = {flags, &schedule, .kept = taps->kept};
  g_autoptr (EngineExec) exec =
      engine_exec_new_full (engine, backend, BATCH, threads, &options, NULL);
  Seen seen = {.activations = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free)};

  CHECK (exec);
  for (int i = 0; i < batch; i++)
    net_fill_input (engine, exec, i, seed, i);
  CHECK (engine_taps_run (taps, engine_exec_program (exec), batch, note, &seen) == NULL);
  *n_groups = taps->n_groups;
  g_mutex_clear (&seen.mutex);
  return seen.activations;
}

static void
check_same (GHashTable *expected, GHashTable *activations, int batch)
{
  GHashTableIter iter;
  gpointer name, value;

  CHECK_INT (g_hash_table_size (activations), ==, g_hash_table_size (expected));
  g_hash_table_iter_init (&iter, expected);
  while (g_hash_table_iter_next (&iter, &name, &value)) {
    const Activation *wanted = value, *a = g_hash_table_lookup (activations, name);

    CHECK_INT (wanted->images, ==, batch);
    if (!a || a->images != wanted->images || a->sum != wanted->sum)
      CHECK_FAIL ("'%s' is not what it is in memory of its own", (const char *) name);
  }
}

static void
test_groups (void)
{
  static const gsize bytes[] = {0, 1000, 10000, ENGINE_TAPS_BYTES};
  int groups, most = 0;

  for (guint32 seed = 1; seed <= 40; seed++) {
    g_autoptr (EngineGraph) graph = net_random (seed);
    g_autoptr (Engine) engine = seed % 2 ? net_engine (engine_graph_copy (graph))
                                         : net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
    const int nodes = engine->graph->nodes->len, batch = 1 + seed % BATCH;
    g_autoptr (GHashTable) expected = shown (engine, ref, 1, ENGINE_TAPS_BYTES, FALSE,
        ENGINE_PLAN_SEPARATE, batch, seed, &groups);

    CHECK_INT (groups, ==, 1);
    for (guint b = 0; b < G_N_ELEMENTS (bytes); b++)
      for (int way = 0; way < 6; way++) {
        /* three threads and two images: by layer, after all */
        g_autoptr (GHashTable) activations = shown (engine, cpu, 1 + way % 3, bytes[b], way >= 3,
            ENGINE_PLAN_DEFAULT, batch, seed, &groups);

        check_same (expected, activations, batch);
        if (bytes[b] == 0)
          CHECK_INT (groups, ==, nodes);
        else if (groups < nodes)
          most = MAX (most, groups);
      }
  }
  CHECK (most > 2); /* or the sizes between tested nothing */
}

int
main (void)
{
  ref = net_backend ("ref");
  cpu = net_backend ("cpu");
  RUN (test_groups);
  kernel_close (cpu);
  kernel_close (ref);
  return check_done ();
}
