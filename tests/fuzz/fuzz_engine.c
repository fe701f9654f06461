/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_engine.c: engine files from bytes that nobody vouches for. Header and checksums are put
 * right first, or nothing would get past them. What is read is written and read again as the same,
 * and runs on the reference kernels, where a sanitizer sees every step that leaves its memory.
 */
#include "engine/exec.h"
#include "engine/file.h"
#include "engine/tactics.h"
#include "tests/fuzz/fuzz-graph.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define HEADER 64
#define PAGE   4096

static uint64_t
get64 (const uint8_t *p)
{
  uint64_t word = 0;

  for (int i = 7; i >= 0; i--)
    word = word << 8 | p[i];
  return word;
}

static void
put64 (uint8_t *p, uint64_t word)
{
  for (int i = 0; i < 8; i++)
    p[i] = (uint8_t) (word >> 8 * i);
}

/* A header that fits the size, with the message and constants that it spoke of where possible. */
static gboolean
seal (uint8_t *data, size_t size)
{
  if (size < PAGE)
    return FALSE;
  if (get64 (data + 24) < PAGE || get64 (data + 24) > size)
    put64 (data + 24, size / PAGE * PAGE);
  const uint64_t constants = get64 (data + 24) / PAGE * PAGE;
  if (get64 (data + 16) > constants - HEADER)
    put64 (data + 16, constants - HEADER);
  memcpy (data, "GSTINT8E", 8);
  put64 (data + 8, ENGINE_FILE_VERSION | (uint64_t) HEADER << 32);
  put64 (data + 24, constants);
  put64 (data + 32, size - constants);
  engine_file_seal (data, size);
  return TRUE;
}

static KernelBackend *
ref_backend (void)
{
  static KernelBackend *ref;

  if (!ref)
    ref = net_backend ("ref");
  return ref;
}

/* Choices of ways for the very back end, threads and batch that run() has, so that they are read, and
 * for somebody else. */
static void
add_tactics (Engine *engine)
{
  KernelQueue *queue = ref_backend ()->queue_new (ref_backend (), 1);
  EngineTactics *here = engine_tactics_new (engine->graph, ref_backend (), queue, 2);
  char *names[] = {"direct", "", "winograd 4x4"};

  for (guint i = 0; i < engine->graph->nodes->len; i++)
    if (engine_graph_node (engine->graph, i)->op == ENGINE_OP_CONV)
      g_ptr_array_add (here->names, g_strdup (i % 2 ? "plain" : ""));
  engine_tactics_add (engine, here);
  engine_tactics_add (engine,
      engine_tactics_new_given ("cpu", "AVX2", "a CPU", 4, 16, "0123", names, 3));
  ref_backend ()->queue_free (queue);
}

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  if (index >= 12)
    return NULL;
  g_autoptr (EngineGraph) graph = net_random (100 + index);
  g_autoptr (Engine) engine = index % 3 == 0
                                  ? net_engine (engine_graph_copy (graph))
                                  : net_engine_int8 (graph, (EngineRanges) (index % 2), index);
  if (index % 2)
    add_tactics (engine);
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "key", NULL);
  const void *data = g_bytes_get_data (bytes, size);
  uint8_t *seed = malloc (*size);

  if (seed)
    memcpy (seed, data, *size);
  return seed;
}

static void
run (Engine *engine)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineExec) exec = NULL;

  if (fuzz_work (engine->graph) > 1e6)
    return;
  exec = engine_exec_new (engine, ref_backend (), 2, 1, &error);
  FUZZ_REQUIRE (exec || error);
  if (!exec)
    return;
  net_fill_input (engine, exec, 0, 1, 0);
  net_fill_input (engine, exec, 1, 1, 1);
  FUZZ_REQUIRE (engine_exec_run (exec, 2, &error));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree uint8_t *copy = g_memdup2 (data, size);
  EngineFileState state = ENGINE_FILE_GOOD;
  g_autoptr (GError) error = NULL;

  if (!seal (copy, size))
    return 0;
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_steal_pointer (&copy), size);
  g_autoptr (Engine) engine = engine_file_parse (bytes, "fuzz", &state, &error);
  FUZZ_REQUIRE (!engine == !!error && !engine == (state != ENGINE_FILE_GOOD));
  if (!engine) {
    FUZZ_REQUIRE (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_FILE));
    return 0;
  }
  g_autoptr (GBytes) written = engine_file_bytes (engine, NULL, &error);
  FUZZ_REQUIRE (written);
  g_autoptr (Engine) again = engine_file_parse (written, "again", &state, &error);
  FUZZ_REQUIRE (again);
  g_autofree char *dump = engine_dump (engine), *same = engine_dump (again);
  FUZZ_REQUIRE (strcmp (dump, same) == 0);
  g_autofree char *tuned = engine_tuned_for (engine), *tuned_same = engine_tuned_for (again);
  FUZZ_REQUIRE (strcmp (tuned, tuned_same) == 0);
  run (engine);
  return 0;
}
