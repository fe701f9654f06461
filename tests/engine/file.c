/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: engine files: round trips, every truncation, every damaged byte, and what is in the way.
 */
#include "engine/file.h"
#include "engine/lock.h"
#include "engine/tactics.h"
#include "tests/check.h"
#include "tests/engine/net.h"
#include "tests/folder.h"

static char *folder;
static KernelBackend *ref;

static char *
path_of (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static Engine *
int8_engine (guint32 seed)
{
  g_autoptr (EngineGraph) graph = net_random (seed);
  Engine *engine = net_engine_int8 (graph, ENGINE_RANGES_FULL, seed);
  char *names[] = {"direct", ""};

  if (seed % 2 == 0)
    engine_tactics_add (engine,
        engine_tactics_new_given ("cpu", "AVX2", "a CPU", 4, 16, "0123", names, 2));
  return engine;
}

static gboolean
same_contents (GBytes *bytes, const char *path)
{
  g_autofree char *contents = NULL;
  gsize size;

  return g_file_get_contents (path, &contents, &size, NULL) && size == g_bytes_get_size (bytes) &&
         memcmp (contents, g_bytes_get_data (bytes, NULL), size) == 0;
}

/* --- Round trips ---------------------------------------------------------------------------- */

static void
check_same_outputs (Engine *a, Engine *b, guint32 seed)
{
  g_autoptr (EngineExec) x = engine_exec_new (a, ref, 1, 1, NULL);
  g_autoptr (EngineExec) y = engine_exec_new (b, ref, 1, 1, NULL);

  net_fill_input (a, x, 0, seed, 0);
  net_fill_input (b, y, 0, seed, 0);
  CHECK (engine_exec_run (x, 1, NULL) && engine_exec_run (y, 1, NULL));
  CHECK (memcmp (engine_exec_output (x, 0), engine_exec_output (y, 0),
             engine_n_classes (a) * sizeof (float)) == 0);
}

static void
check_round_trip (Engine *engine, guint32 seed)
{
  g_autofree char *path = path_of ("round-trip.engine");
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "a key", NULL);

  CHECK (engine_save (engine, "a key", path, &error));
  CHECK (same_contents (bytes, path));
  g_autoptr (Engine) loaded = engine_load (path, "a key", &error);
  if (!loaded) {
    CHECK_FAIL ("seed %u: %s", seed, error->message);
    return;
  }
  g_autoptr (GBytes) again = engine_file_bytes (loaded, NULL, NULL);
  g_autofree char *dump = engine_dump (engine), *loaded_dump = engine_dump (loaded);
  CHECK (g_bytes_equal (bytes, again));
  CHECK_STR (loaded_dump, dump);
  CHECK_INT (engine_precision (loaded), ==, engine_precision (engine));
  CHECK_STR (loaded->provenance.model, "model");
  CHECK_STR (loaded->provenance.table, "table");
  CHECK_STR (loaded->provenance.bias, "bias");
  CHECK_STR (loaded->provenance.dynamic_ranges, "dynamic ranges");
  CHECK_STR (loaded->provenance.rules, "rules");
  CHECK_STR (loaded->provenance.preprocess, "preprocess");
  CHECK_STR (loaded->provenance.options, "options");
  check_same_outputs (engine, loaded, seed);
}

static void
test_round_trips (void)
{
  for (guint32 seed = 1; seed <= 60 && !check_failures_in_test; seed++) {
    g_autoptr (Engine) int8 = int8_engine (seed), fp32 = net_engine (net_random (seed));

    check_round_trip (int8, seed);
    check_round_trip (fp32, seed);
  }
}

/* Loaded from the cache of the page tables, an engine outlives its file. */
static void
test_outlives_its_file (void)
{
  g_autofree char *path = path_of ("short-lived.engine");
  g_autoptr (Engine) engine = int8_engine (3);

  CHECK (engine_save (engine, "", path, NULL));
  g_autoptr (Engine) loaded = engine_load (path, NULL, NULL);
  CHECK_INT (g_unlink (path), ==, 0);
  check_same_outputs (engine, loaded, 3);
}

static void
test_other_key (void)
{
  g_autofree char *path = path_of ("key.engine");
  g_autoptr (Engine) engine = int8_engine (1);
  g_autoptr (GError) error = NULL;

  CHECK (engine_save (engine, "one", path, NULL));
  CHECK (!engine_load (path, "two", &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH));
  g_autoptr (Engine) any = engine_load (path, NULL, NULL);
  CHECK (any);
}

/* --- Damage --------------------------------------------------------------------------------- */

/* The state of `size` bytes, which must not be GOOD; the message must not be empty. */
static EngineFileState
state_of (const guint8 *data, gsize size)
{
  /* Memory of exactly this size: a read beyond it is seen by a sanitizer. */
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;
  EngineFileState state = ENGINE_FILE_GOOD;
  g_autoptr (Engine) engine = engine_file_parse (bytes, "damaged", &state, &error);

  CHECK (!engine == (state != ENGINE_FILE_GOOD));
  if (!engine)
    CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_FILE));
  return state;
}

static void
test_every_truncation (void)
{
  g_autoptr (Engine) engine = int8_engine (2);
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "", NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  for (gsize n = 0; n < size; n++) {
    const EngineFileState expected = n < 8 ? ENGINE_FILE_FOREIGN : ENGINE_FILE_CORRUPT;

    if (state_of (data, n) != expected)
      CHECK_FAIL ("%zu of %zu bytes are taken for an engine file", n, size);
  }
  CHECK_INT (state_of (data, size), ==, ENGINE_FILE_GOOD);
}

static void
test_every_damaged_byte (void)
{
  g_autoptr (Engine) engine = int8_engine (2);
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "", NULL);
  gsize size;
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, &size), g_bytes_get_size (bytes));

  for (gsize i = 0; i < size; i++) {
    const guint8 bit = 1 << i % 8;

    data[i] ^= bit;
    const EngineFileState expected = i < 8 ? ENGINE_FILE_FOREIGN : ENGINE_FILE_CORRUPT;
    if (state_of (data, size) != expected)
      CHECK_FAIL ("byte %zu of %zu may be damaged", i, size);
    data[i] ^= bit;
  }
}

static void
test_longer_than_it_says (void)
{
  g_autoptr (Engine) engine = int8_engine (2);
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "", NULL);
  const gsize size = g_bytes_get_size (bytes);
  g_autofree guint8 *data = g_malloc0 (size + 1);

  memcpy (data, g_bytes_get_data (bytes, NULL), size);
  CHECK_INT (state_of (data, size + 1), ==, ENGINE_FILE_CORRUPT);
}

static void
test_other_version (void)
{
  g_autoptr (Engine) engine = int8_engine (2);
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "", NULL);
  gsize size;
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, &size), g_bytes_get_size (bytes));

  data[8]++;
  engine_file_seal (data, size);
  CHECK_INT (state_of (data, size), ==, ENGINE_FILE_OTHER);
}

/* --- Contents that lie, under right checksums ------------------------------------------------ */

static gboolean
refused (Engine *engine)
{
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, "", NULL);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  return state_of (data, size) == ENGINE_FILE_CORRUPT;
}

static EngineNode *
first_conv (Engine *engine)
{
  for (guint i = 0; i < engine->graph->nodes->len; i++)
    if (engine_graph_node (engine->graph, i)->op == ENGINE_OP_CONV)
      return engine_graph_node (engine->graph, i);
  g_error ("no convolution");
}

static void
test_lies (void)
{
  g_autoptr (Engine) engine = int8_engine (4);
  EngineNode *conv = first_conv (engine);
  EngineValue *x = engine_graph_value (engine->graph, conv->inputs[ENGINE_CONV_X]);
  EngineValue *w = engine_graph_value (engine->graph, conv->inputs[ENGINE_CONV_W]);

  CHECK (!refused (engine));

  conv->inputs[ENGINE_CONV_B] = 1 << 30;
  CHECK (refused (engine));
  conv->inputs[ENGINE_CONV_B] = -7;
  CHECK (refused (engine));
  conv->inputs[ENGINE_CONV_B] = conv->inputs[ENGINE_CONV_M]; /* sound: both are [oc] floats */
  CHECK (!refused (engine));

  conv->conv.stride_h = 0;
  CHECK (refused (engine));
  conv->conv.stride_h = 1;
  conv->conv.pad_top = -1;
  CHECK (refused (engine));
  conv->conv.pad_top = G_MAXINT;
  CHECK (refused (engine));
  conv->conv.pad_top = 1;

  w->dims[0]++; /* beyond the constants, or against the output's channels */
  CHECK (refused (engine));
  w->dims[0]--;
  x->quant.scale = NAN;
  CHECK (refused (engine));
  x->quant.scale = 1;
  x->quant.zero = 128;
  CHECK (refused (engine));
  x->quant.zero = 0;

  g_array_index (engine->graph->outputs, int, 0) = 99999;
  CHECK (refused (engine));
}

/* Scales by channel: as many as there are channels, each above 0 and at most 1. */
static void
test_lying_factors (void)
{
  g_autoptr (Engine) engine = int8_engine (4);
  EngineValue *x = NULL;

  for (guint v = 0; v < engine->graph->values->len && !x; v++) {
    EngineValue *value = engine_graph_value (engine->graph, v);

    if (value->type == ENGINE_TYPE_S8 && !value->data && value->dims[value->rank - 1] >= 2)
      x = value;
  }
  CHECK (x);
  const int channels = x ? x->dims[x->rank - 1] : 0;
  const float wrong[] = {0, -0.0f, -1, 1.00001f, NAN, INFINITY, -INFINITY};

  for (int n = 1; x && n <= channels + 1; n++) {
    g_autofree float *factors = g_new (float, n);

    for (int k = 0; k < n; k++)
      factors[k] = 0x1p-149f;
    x->factors = g_bytes_new (factors, n * sizeof *factors);
    CHECK_INT (refused (engine), ==, n != channels);
    g_clear_pointer (&x->factors, g_bytes_unref);
    for (guint i = 0; n == channels && i < G_N_ELEMENTS (wrong); i++) {
      factors[i % n] = wrong[i];
      x->factors = g_bytes_new (factors, n * sizeof *factors);
      CHECK (refused (engine));
      g_clear_pointer (&x->factors, g_bytes_unref);
      factors[i % n] = 1;
    }
  }
}

/* --- What is in the way --------------------------------------------------------------------- */

static void
test_foreign_file_stays (void)
{
  g_autofree char *path = path_of ("tensorrt.plan"), *after = NULL;
  g_autoptr (Engine) engine = int8_engine (1);
  g_autoptr (GError) error = NULL;
  g_autofree char *expected = g_strdup_printf (
      "'%s' is no engine file of gst-int8 and is not overwritten; remove it or give another path",
      path);

  CHECK (g_file_set_contents (path, "ftrt plan of somebody else", -1, NULL));
  CHECK (!engine_save (engine, "", path, &error));
  CHECK (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_FILE));
  CHECK_STR (error ? error->message : NULL, expected);
  CHECK (g_file_get_contents (path, &after, NULL, NULL));
  CHECK_STR (after, "ftrt plan of somebody else");
  CHECK (!engine_load (path, NULL, NULL));

  CHECK (g_file_set_contents (path, "", -1, NULL)); /* an empty file is somebody's, too */
  CHECK (!engine_save (engine, "", path, NULL));
}

static void
test_places_without_a_file (void)
{
  g_autofree char *missing = path_of ("no/such/folder/x.engine"), *none = path_of ("none.engine");
  g_autoptr (Engine) engine = int8_engine (1);
  g_autoptr (GError) error = NULL;

  CHECK (!engine_save (engine, "", missing, &error));
  CHECK (error && error->domain == G_FILE_ERROR);
  g_clear_error (&error);
  CHECK (!engine_save (engine, "", folder, &error));
  CHECK (error != NULL);
  g_clear_error (&error);
  CHECK (!engine_load (none, NULL, &error));
  CHECK (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT));
  g_clear_error (&error);
  CHECK (!engine_load (folder, NULL, &error));
  CHECK (error && strstr (error->message, "is a folder"));
}

/* Half a temporary file and a lock of a process that died: neither is in anybody's way. */
static void
test_after_a_crash (void)
{
  g_autofree char *path = path_of ("crash.engine"), *temporary = path_of (".int8-0badcafe.tmp");
  g_autofree char *lock = path_of ("crash.engine.lock");
  g_autoptr (Engine) engine = int8_engine (1);
  g_autoptr (GError) error = NULL;

  CHECK (g_file_set_contents (temporary, "GSTINT8E", -1, NULL));
  CHECK (g_file_set_contents (lock, "", -1, NULL));
  CHECK (engine_save (engine, "", path, &error));
  g_autoptr (Engine) loaded = engine_load (path, NULL, &error);
  CHECK (loaded);
  CHECK (!g_file_test (lock, G_FILE_TEST_EXISTS));
}

/* --- The lock ------------------------------------------------------------------------------- */

static gint inside, most_inside, entered;

static gpointer
enter_and_leave (gpointer path)
{
  for (int i = 0; i < 10; i++) {
    g_autoptr (EngineLock) lock = engine_lock_take (path, NULL, NULL);

    if (!lock)
      return GINT_TO_POINTER (1);
    const int now = g_atomic_int_add (&inside, 1) + 1;
    if (now > g_atomic_int_get (&most_inside))
      g_atomic_int_set (&most_inside, now);
    g_usleep (500);
    g_atomic_int_add (&inside, -1);
    g_atomic_int_inc (&entered);
  }
  return NULL;
}

static void
test_lock_lets_one_in (void)
{
  g_autofree char *path = path_of ("locked");
  GThread *threads[4];

  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("lock", enter_and_leave, path);
  for (int i = 0; i < 4; i++)
    CHECK (g_thread_join (threads[i]) == NULL);
  CHECK_INT (entered, ==, 40);
  CHECK_INT (most_inside, ==, 1);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (50000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_lock_is_cancelled (void)
{
  g_autofree char *path = path_of ("cancelled");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  G_GNUC_UNUSED g_autoptr (EngineLock) held = engine_lock_take (path, NULL, NULL);
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);

  CHECK (!engine_lock_take (path, cancellable, &error));
  CHECK (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED));
  g_thread_join (thread);
}

int
main (void)
{
  folder = g_dir_make_tmp ("int8-file-XXXXXX", NULL);
  ref = net_backend ("ref");
  RUN (test_round_trips);
  RUN (test_outlives_its_file);
  RUN (test_other_key);
  RUN (test_every_truncation);
  RUN (test_every_damaged_byte);
  RUN (test_longer_than_it_says);
  RUN (test_other_version);
  RUN (test_lies);
  RUN (test_lying_factors);
  RUN (test_foreign_file_stays);
  RUN (test_places_without_a_file);
  RUN (test_after_a_crash);
  RUN (test_lock_lets_one_in);
  RUN (test_lock_is_cancelled);
  kernel_close (ref);
  test_folder_remove (folder);
  g_free (folder);
  return check_done ();
}
