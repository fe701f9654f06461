/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hash-cache.c: a key file with one group a model, the newest last.
 *
 *     [64769-1311772-513765-1718000000123456789]     device, inode, size, mtime
 *     sha256=...
 *     external=weights.bin;                          paths beside the model, where there are any
 *     identity=64769-1311773-102400000-1718000000...;
 *
 * It is a memory, not a source: a group that does not fit is as good as none, and what is lost when
 * two processes write at once is found again.
 */
#include "engine/hash-cache.h"
#include "engine/onnx/onnx.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MAX_MODELS   200
#define RACY_SECONDS 2

/* NULL where there is no such file. */
static char *
identity_of (const char *path, time_t *modified)
{
  struct stat st;

  if (stat (path, &st) != 0)
    return NULL;
  if (modified)
    *modified = st.st_mtim.tv_sec;
  return g_strdup_printf ("%llu-%llu-%lld-%lld%09ld", (unsigned long long) st.st_dev,
      (unsigned long long) st.st_ino, (long long) st.st_size, (long long) st.st_mtim.tv_sec,
      (long) st.st_mtim.tv_nsec);
}

/* The name of a model's group. With options it is another model: the shape, and the identity of "proto", follow.
 * A shape may name a tensor, whose name may have brackets in it, which that of a group may not. */
static char *
identity_with (const char *path, const EngineModelOptions *options, time_t *modified)
{
  g_autofree char *model = identity_of (path, modified), *proto = NULL;

  if (model && options && options->shape) {
    g_autofree char *shape = g_uri_escape_string (options->shape, ";:,", FALSE);
    char *shaped = g_strconcat (model, " shape ", shape, NULL);

    g_free (model);
    model = shaped;
  }
  if (!model || !options || !options->proto)
    return g_steal_pointer (&model);
  proto = identity_of (options->proto, NULL);
  return proto ? g_strconcat (model, " proto ", proto, NULL) : NULL;
}

static GKeyFile *
read_memory (const char *file)
{
  GKeyFile *memory = g_key_file_new ();

  /* A missing or damaged file remembers nothing. */
  if (!g_key_file_load_from_file (memory, file, G_KEY_FILE_NONE, NULL)) {
    g_key_file_unref (memory);
    memory = g_key_file_new ();
  }
  return memory;
}

static gboolean
is_sha256 (const char *text)
{
  return strlen (text) == 64 && strspn (text, "0123456789abcdef") == 64;
}

/* Whether the external files are still those that were hashed. */
static gboolean
externals_unchanged (GKeyFile *memory, const char *model)
{
  gsize n = 0, n_identities = 0;
  g_auto (GStrv) paths = g_key_file_get_string_list (memory, model, "external", &n, NULL);
  g_auto (GStrv) identities =
      g_key_file_get_string_list (memory, model, "identity", &n_identities, NULL);

  if (n != n_identities)
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    g_autofree char *now = identity_of (paths[i], NULL);

    if (!now || !g_str_equal (now, identities[i]))
      return FALSE;
  }
  return TRUE;
}

static char *
look_up (const char *file, const char *identity)
{
  g_autoptr (GKeyFile) memory = read_memory (file);
  g_autofree char *sha256 = g_key_file_get_string (memory, identity, "sha256", NULL);

  if (!sha256 || !is_sha256 (sha256) || !externals_unchanged (memory, identity))
    return NULL;
  return g_steal_pointer (&sha256);
}

static gboolean
save_memory (GKeyFile *memory, const char *folder, const char *file, GError **error)
{
  gsize n_groups, size;
  g_auto (GStrv) groups = g_key_file_get_groups (memory, &n_groups);
  g_autofree char *text = NULL;

  for (gsize i = 0; n_groups - i > MAX_MODELS; i++)
    g_key_file_remove_group (memory, groups[i], NULL);
  text = g_key_file_to_data (memory, &size, NULL);
  /* Where the folder cannot be made, writing says so. */
  (void) g_mkdir_with_parents (folder, 0700);
  return calib_file_replace (file, text, size, error);
}

/* The identities of the model and its external files, with the time of the latest change. */
typedef struct {
  char *model;
  GPtrArray *paths, *identities; /* of external files */
  time_t modified;
} Snapshot;

static void
snapshot_clear (Snapshot *snapshot)
{
  g_free (snapshot->model);
  g_clear_pointer (&snapshot->paths, g_ptr_array_unref);
  g_clear_pointer (&snapshot->identities, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Snapshot, snapshot_clear)

/* FALSE where something cannot be seen; then nothing is remembered. */
static gboolean
take_snapshot (const char *path, const EngineModelOptions *options, Snapshot *snapshot)
{
  *snapshot = (Snapshot){.identities = g_ptr_array_new_with_free_func (g_free)};
  snapshot->model = identity_with (path, options, &snapshot->modified);
  snapshot->paths = engine_onnx_external_files (path, options, NULL);
  if (!snapshot->model || !snapshot->paths)
    return FALSE;
  for (guint i = 0; i < snapshot->paths->len; i++) {
    time_t modified = 0;
    char *identity = identity_of (g_ptr_array_index (snapshot->paths, i), &modified);

    if (!identity)
      return FALSE;
    g_ptr_array_add (snapshot->identities, identity);
    snapshot->modified = MAX (snapshot->modified, modified);
  }
  return TRUE;
}

static gboolean
same_snapshot (const Snapshot *a, const Snapshot *b)
{
  if (!g_str_equal (a->model, b->model) || a->identities->len != b->identities->len)
    return FALSE;
  for (guint i = 0; i < a->identities->len; i++)
    if (!g_str_equal (g_ptr_array_index (a->identities, i), g_ptr_array_index (b->identities, i)))
      return FALSE;
  return TRUE;
}

static void
remember (const Snapshot *snapshot, const char *sha256, const char *folder, const char *file,
    char **note)
{
  g_autoptr (GKeyFile) memory = read_memory (file);
  g_autoptr (GError) error = NULL;

  g_key_file_remove_group (memory, snapshot->model, NULL);
  g_key_file_set_string (memory, snapshot->model, "sha256", sha256);
  if (snapshot->paths->len > 0) {
    g_key_file_set_string_list (memory, snapshot->model, "external",
        (const char *const *) snapshot->paths->pdata, snapshot->paths->len);
    g_key_file_set_string_list (memory, snapshot->model, "identity",
        (const char *const *) snapshot->identities->pdata, snapshot->identities->len);
  }
  if (!save_memory (memory, folder, file, &error) && note)
    *note = g_strdup_printf ("the model is hashed again at every start: %s", error->message);
}

static char *
load_and_hash (const char *path, const EngineModelOptions *options, EngineModel **model,
    GError **error)
{
  *model = engine_model_load_with (path, options, error);
  return *model ? g_strdup (engine_model_sha256 (*model)) : NULL;
}

char *
engine_hash_model (const char *path, const EngineModelOptions *options, const char *cache_folder,
    EngineModel **model, char **note, GError **error)
{
  g_autofree char *file = NULL, *identity = NULL;
  g_auto (Snapshot) before = {0}, after = {0};
  gboolean seen;
  char *sha256;

  *model = NULL;
  if (!cache_folder)
    return load_and_hash (path, options, model, error);
  file = g_build_filename (cache_folder, "hashes", NULL);
  identity = identity_with (path, options, NULL);
  sha256 = identity ? look_up (file, identity) : NULL;
  if (sha256)
    return sha256;

  seen = take_snapshot (path, options, &before);
  sha256 = load_and_hash (path, options, model, error);
  /* What changed while it was read, or might still, is not remembered. */
  if (sha256 && seen && take_snapshot (path, options, &after) && same_snapshot (&before, &after) &&
      time (NULL) - after.modified >= RACY_SECONDS)
    remember (&after, sha256, cache_folder, file, note);
  return sha256;
}
