/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/file.c: opens a model, recognises what is none, and unpacks it. Its external data files are
 * in onnx/external.c.
 */
#include "engine/onnx/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/caffe/caffe.h"
#include "engine/engine.h"
#include "engine/onnx/external.h"
#include "engine/onnx/onnx.h"

/* --- What it is, if it is no model ----------------------------------------------------------- */

static const struct {
  gsize offset;
  const char *magic;
  const char *what;
} foreign[] = {
    {0, "version https://git-lfs",
        "a Git LFS pointer, not the model itself; fetch it with \"git lfs pull\""},
    {0, "ptrt",
        "a TensorRT engine, which runs on one GPU and one version only; give the ONNX "
        "file that it was built from"},
    {0, "ftrt",
        "a TensorRT engine, which runs on one GPU and one version only; give the ONNX "
        "file that it was built from"},
    {0, "GSTINT8E", "an engine file of gst-int8, not a model; give the ONNX file as the model"},
    {0, "\x89PNG", "a PNG picture; give an ONNX file"},
    {0, "\xff\xd8\xff", "a JPEG picture; give an ONNX file"},
    {0, "PK\x03\x04",
        "a ZIP archive (a PyTorch or Keras checkpoint?); export the model to ONNX, "
        "for instance with torch.onnx.export()"},
    {0, "\x89HDF", "an HDF5 file (a Keras model?); convert it with tf2onnx"},
    {4, "TFL3", "a TensorFlow Lite model; convert it with tf2onnx --tflite"},
    {0, "\x1f\x8b", "compressed with gzip; unpack it first"},
};

gboolean
engine_onnx_file_is_text (const guint8 *data, gsize size)
{
  for (gsize i = 0; i < MIN (size, 512); i++)
    if (!g_ascii_isprint (data[i]) && !g_ascii_isspace (data[i]) && data[i] < 0x80)
      return FALSE;
  return TRUE;
}

/* Formats with a magic number. ONNX has none: it is what parses as such. */
gboolean
engine_onnx_file_recognise (const guint8 *data, gsize size, GError **error)
{
  const char *what = NULL;

  if (size == 0)
    what = "an empty file; copy or download the model again";
  for (gsize i = 0; !what && i < G_N_ELEMENTS (foreign); i++) {
    const gsize length = strlen (foreign[i].magic);

    if (size >= foreign[i].offset + length &&
        memcmp (data + foreign[i].offset, foreign[i].magic, length) == 0)
      what = foreign[i].what;
  }
  if (!what)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "this is %s", what);
  return FALSE;
}

/* --- Opening -------------------------------------------------------------------------------- */

GBytes *
engine_onnx_map (const char *path, GError **error)
{
  const int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  g_autoptr (GMappedFile) map = NULL;
  struct stat info;

  if (fd < 0 || fstat (fd, &info) < 0) {
    const int cause = errno;

    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (cause), "cannot be read: %s",
        g_strerror (cause));
  } else if (!S_ISREG (info.st_mode)) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "is %s, not a file",
        S_ISDIR (info.st_mode) ? "a folder" : "a device or a pipe");
  } else {
    map = g_mapped_file_new_from_fd (fd, FALSE, error);
  }
  if (fd >= 0)
    close (fd);
  return map ? g_mapped_file_get_bytes (map) : NULL;
}

static gboolean
check (const guint8 *data, gsize size, GError **error)
{
  static const EngineOnnxWireFormat format = {&engine_onnx__model_proto__descriptor, "an ONNX file",
      "export the model to ONNX"};

  if (!engine_onnx_file_recognise (data, size, error))
    return FALSE;
  if (engine_onnx_wire_check (&format, data, size, error))
    return TRUE;
  if (engine_onnx_file_is_text (data, size)) {
    g_clear_error (error);
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MODEL, "this is a text file; give an ONNX file");
  }
  return FALSE;
}

static gboolean
unpack (EngineOnnxFile *file, const guint8 *data, gsize size, GError **error)
{
  if (!check (data, size, error))
    return FALSE;
  file->model = (EngineOnnx__ModelProto *) engine_onnx_wire_load (
      &engine_onnx__model_proto__descriptor, data, size, &file->budget, error);
  return file->model != NULL;
}

#define MAX_MESSAGE 8192

void
engine_onnx_file_blame (const char *path, GError **error)
{
  char *message;

  if (!error)
    return;
  message = g_utf8_make_valid ((*error)->message, strnlen ((*error)->message, MAX_MESSAGE));
  for (char *c = message; *c; c++)
    if (g_ascii_iscntrl (*c))
      *c = '?';
  g_free ((*error)->message);
  (*error)->message = message;
  g_prefix_error (error, "model \"%s\": ", path);
}

EngineOnnxFile *
engine_onnx_file_new (GBytes *bytes, const char *path, GError **error)
{
  g_autoptr (EngineOnnxFile) file = g_new0 (EngineOnnxFile, 1);
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  file->path = g_strdup (path);
  file->bytes = g_bytes_ref (bytes);
  file->size = size;
  if (!unpack (file, data, size, error) || !engine_onnx_external_open (file, error)) {
    engine_onnx_file_blame (path, error);
    return NULL;
  }
  return g_steal_pointer (&file);
}

EngineOnnxFile *
engine_onnx_file_open (const char *path, const EngineModelOptions *options, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;

  if (engine_caffe_is (path, options))
    return engine_caffe_open (path, options, error);
  bytes = engine_onnx_map (path, error);
  if (bytes)
    return engine_onnx_file_new (bytes, path, error);
  g_prefix_error (error, "model \"%s\" ", path);
  return NULL;
}

void
engine_onnx_file_free (EngineOnnxFile *file)
{
  if (!file)
    return;
  if (file->free_owner)
    file->free_owner (file->owner);
  else
    engine_onnx_wire_free ((ProtobufCMessage *) file->model, &file->budget);
  g_clear_pointer (&file->external, g_hash_table_unref);
  g_clear_pointer (&file->external_list, g_ptr_array_unref);
  g_clear_pointer (&file->bytes, g_bytes_unref);
  g_free (file->shape);
  g_free (file->path);
  g_free (file);
}

/* --- What it is made of ---------------------------------------------------------------------- */

static void
add_to_checksum (GChecksum *checksum, GBytes *bytes)
{
  gsize size;
  const guchar *data = g_bytes_get_data (bytes, &size);

  if (size > 0)
    g_checksum_update (checksum, data, size);
}

char *
engine_onnx_file_sha256 (const EngineOnnxFile *file)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);

  add_to_checksum (checksum, file->bytes);
  for (guint i = 0; i < file->external_list->len; i++) {
    const EngineOnnxExternal *external = g_ptr_array_index (file->external_list, i);

    add_to_checksum (checksum, external->bytes);
  }
  return g_strdup (g_checksum_get_string (checksum));
}

GPtrArray *
engine_onnx_external_files (const char *path, const EngineModelOptions *options, GError **error)
{
  g_autoptr (EngineOnnxFile) file = engine_onnx_file_open (path, options, error);
  GPtrArray *paths;

  if (!file)
    return NULL;
  paths = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < file->external_list->len; i++) {
    const EngineOnnxExternal *external = g_ptr_array_index (file->external_list, i);

    g_ptr_array_add (paths, g_strdup (external->path));
  }
  return paths;
}
