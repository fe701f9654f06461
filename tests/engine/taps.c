/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taps.c: a tap sees every activation once a run, whole, wherever the groups end and however many
 * threads show them.
 */
#include "engine/taps.h"
#include "engine/exec.h"
#include "tests/check.h"
#include "tests/engine/net.h"

#define BATCH 3

static KernelBackend *ref, *cpu;

typedef struct {
  GMutex mutex;
  GHashTable *sums; /* name to what checksum_of() gives */
  int twice;
} Seen;

static void
note (const EngineTap *tap, gpointer data)
{
  Seen *seen = data;
  char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, tap->x,
      tap->n * tap->elements * (tap->type == ENGINE_TYPE_S8 ? 1 : sizeof (float)));

  g_mutex_lock (&seen->mutex);
  if (!g_hash_table_replace (seen->sums, g_strdup (tap->name), sum))
    seen->twice++;
  g_mutex_unlock (&seen->mutex);
}

/* What a run of `batch` images shows; the caller's to unref. */
static GHashTable *
shown (Engine *engine, KernelBackend *backend, int threads, gsize group_bytes,
    EnginePlanFlags flags, int batch, guint32 seed, int *n_groups)
{
  const EngineSchedule by_layer = {.cut = 0, .lanes = 1};
  g_autoptr (EngineTaps) taps = engine_taps_new (engine->graph, BATCH, group_bytes);
  const EngineProgramOptions options = {flags, &by_layer, .kept = taps->kept};
  g_autoptr (EngineExec) exec =
      engine_exec_new_full (engine, backend, BATCH, threads, &options, NULL);
  Seen seen = {.sums = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free)};

  CHECK (exec);
  for (int i = 0; i < batch; i++)
    net_fill_input (engine, exec, i, seed, i);
  CHECK (engine_taps_run (taps, engine_exec_program (exec), batch, note, &seen) == NULL);
  CHECK_INT (seen.twice, ==, 0);
  *n_groups = taps->n_groups;
  g_mutex_clear (&seen.mutex);
  return seen.sums;
}

static void
check_same (GHashTable *expected, GHashTable *sums)
{
  GHashTableIter iter;
  gpointer name, sum;

  CHECK_INT (g_hash_table_size (sums), ==, g_hash_table_size (expected));
  g_hash_table_iter_init (&iter, expected);
  while (g_hash_table_iter_next (&iter, &name, &sum))
    if (g_strcmp0 (g_hash_table_lookup (sums, name), sum) != 0)
      CHECK_FAIL ("'%s' is not what it is in memory of its own", (const char *) name);
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
    g_autoptr (GHashTable) expected =
        shown (engine, ref, 1, ENGINE_TAPS_BYTES, ENGINE_PLAN_SEPARATE, batch, seed, &groups);

    CHECK_INT (groups, ==, 1);
    for (guint b = 0; b < G_N_ELEMENTS (bytes); b++)
      for (int threads = 1; threads <= 3; threads += 2) {
        g_autoptr (GHashTable) sums =
            shown (engine, cpu, threads, bytes[b], ENGINE_PLAN_DEFAULT, batch, seed, &groups);

        check_same (expected, sums);
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
