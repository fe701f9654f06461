/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_onnx.c: models from bytes that nobody vouches for. Either an error says what is wrong, or
 * the graph holds what the verifier promises, before and after the passes, and small ones run.
 * The seeds are the models of tests/engine/models, which have every op, and what was found.
 *
 * Most changes break a length somewhere, and no more is seen than that. So each input is tried as it
 * is, and again with what can be read of it written anew.
 */
#include "engine/exec.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/onnx.pb-c.h"
#include "engine/pass/pass.h"
#include "tests/engine/onnx-text.h"
#include "tests/fuzz/fuzz-graph.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* As onnx-text.h reads them. */
static const char *const found[] = {
    /* sizes whose product overflows, where the batch is not in axis 0 */
    "input x 1 3 8 8; Transpose x -> t perm=[1,0,2,3]; ints s = 8389750312335835166 "
    "7018136992859126377; Reshape t s -> y; output y",
};

static const char *
folder (void)
{
  static char *path;
  const char *source = g_getenv ("INT8_SOURCE_DIR");

  if (!path)
    path = g_build_filename (source ? source : ".", "tests/engine/models", NULL);
  return path;
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static GPtrArray *
seed_names (void)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder (), 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_suffix (name, ".onnx"))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, by_name);
  return names;
}

uint8_t *
fuzz_seed (unsigned index, size_t *size)
{
  g_autoptr (GPtrArray) names = seed_names ();
  g_autofree char *path = NULL, *contents = NULL;
  uint8_t *seed = NULL;

  if (index >= names->len + G_N_ELEMENTS (found))
    return NULL;
  if (index >= names->len) {
    g_autoptr (GByteArray) bytes = onnx_text (found[index - names->len]);

    *size = bytes->len;
    seed = malloc (bytes->len);
    if (seed)
      memcpy (seed, bytes->data, bytes->len);
    return seed;
  }
  path = g_build_filename (folder (), g_ptr_array_index (names, index), NULL);
  FUZZ_REQUIRE (g_file_get_contents (path, &contents, size, NULL));
  seed = malloc (*size);
  if (seed)
    memcpy (seed, contents, *size);
  return seed;
}

static void
import (const uint8_t *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);
  g_autofree char *path = g_build_filename (folder (), "fuzz.onnx", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineGraph) graph = engine_onnx_import_bytes (bytes, path, NULL, &error);

  FUZZ_REQUIRE (!graph == !!error);
  if (error) {
    FUZZ_REQUIRE (error->domain == ENGINE_ERROR || error->domain == G_FILE_ERROR);
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return;
  }
  g_autofree char *dump = engine_graph_dump (graph);
  FUZZ_REQUIRE (g_utf8_validate (dump, -1, NULL));
  if (!engine_passes_float (graph, &error)) {
    /* a pass may refuse, but must not break what it is given */
    FUZZ_REQUIRE (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED));
    return;
  }
  if (fuzz_work (graph) < 1e6)
    fuzz_run_graph (g_steal_pointer (&graph));
}

/* --- What can be read of a message, written anew ----------------------------------------------- */

static uint64_t
read_varint (const uint8_t **at, const uint8_t *end)
{
  uint64_t value = 0;

  for (int shift = 0; *at < end; shift += 7) {
    const uint8_t byte = *(*at)++;

    if (shift < 64)
      value |= (uint64_t) (byte & 0x7f) << shift;
    if (byte < 0x80)
      break;
  }
  return value;
}

static GByteArray *
rewrite (const ProtobufCMessageDescriptor *descriptor, const uint8_t *at, const uint8_t *end)
{
  GByteArray *out = g_byte_array_new ();
  uint64_t seen = 0;

  while (at < end) {
    const uint64_t tag = read_varint (&at, end);
    const int id = (int) (tag >> 3 & 31);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field (descriptor, id);

    if (!field) {
      continue;
    } else if (field->type == PROTOBUF_C_TYPE_FLOAT && (tag & 7) != 2) {
      if (end - at < 4)
        break;
      onnx_varint (out, (uint64_t) id << 3 | 5);
      g_byte_array_append (out, at, 4);
      at += 4;
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING ||
               field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_FLOAT) {
      const uint64_t length = read_varint (&at, end);
      const uint8_t *stop = at + MIN (length, (uint64_t) (end - at));

      if (field->type == PROTOBUF_C_TYPE_FLOAT)
        onnx_bytes (out, id, at, (stop - at) / 4 * 4);
      else if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        onnx_bytes (out, id, at, stop - at);
      else if (field->label == PROTOBUF_C_LABEL_REPEATED || !(seen & 1u << id))
        onnx_message (out, id, rewrite (field->descriptor, at, stop));
      seen |= 1u << id;
      at = stop;
    } else {
      onnx_int (out, id, (int64_t) read_varint (&at, end));
    }
  }
  return out;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GByteArray) again = rewrite (&engine_onnx__model_proto__descriptor, data, data + size);

  import (data, size);
  import (again->data, again->len);
  return 0;
}
