/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-limits.c: every opset that is supported, and the memory that hostile models get: each is
 * loaded in a process of its own, whose largest resident size is then known.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/onnx/file.h"
#include "engine/onnx/onnx.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"
#include "tests/sanitized.h"

static GBytes *
model_bytes (const char *text)
{
  return g_byte_array_free_to_bytes (onnx_text (text));
}

static void
test_opsets (void)
{
  for (int opset = 7; opset <= 21; opset++) {
    g_autofree char *text = g_strdup_printf (
        "opset %d; input x ? 3 8 8; floats w 4 3 3 3; Conv x w -> c; Relu c -> r; "
        "MaxPool r -> p kernel_shape=[2,2] strides=[2,2]; Flatten p -> f; floats v 36 5; floats b 5; "
        "Gemm f v b -> g; Softmax g -> y axis=1; output y",
        opset);
    g_autoptr (GBytes) bytes = model_bytes (text);
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineGraph) graph = engine_onnx_import_bytes (bytes, "text", NULL, &error);

    if (!graph)
      CHECK_FAIL ("%s", error->message);
  }
}

/* Whatever allocation fails while a message is unpacked, nothing is lost and nothing is freed twice. */
static void
test_every_budget (void)
{
  g_autoptr (GBytes) bytes =
      model_bytes ("input x 1 3 8 8; floats w 4 3 3 3; Conv x w -> c pads=[1,1,1,1]; "
                   "Clip c -> d min=0.5f; file e 3 location=a offset=0; claim k 2 2; "
                   "com.foo.Bar d e k -> y mode=constant t=T; output y");
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  EngineOnnxBudget budget = {0};
  gboolean done = FALSE;

  for (gsize limit = 0; !done && limit < 1 << 20; limit += 16) {
    ProtobufCMessage *message;

    budget = (EngineOnnxBudget){.limit = limit};
    message = engine_onnx_wire_unpack (&engine_onnx__model_proto__descriptor, data, size, &budget);
    done = message != NULL;
    CHECK (done || budget.used > limit);
    CHECK_INT (budget.peak, <=, limit);
    engine_onnx_wire_free (message, &budget);
  }
  CHECK (done);
  CHECK_INT (budget.used, ==, 0);
}

/* --- Resident size ---------------------------------------------------------------------------- */

/* Kilobytes that importing takes at most, in a child; -1 where it loads or dies. */
static long
resident (GBytes *bytes, const char *expected)
{
  struct rusage usage;
  int status;
  const pid_t child = fork ();

  if (child == 0) {
    g_autoptr (GError) error = NULL;
    g_autoptr (EngineGraph) graph =
        bytes ? engine_onnx_import_bytes (bytes, "hostile", NULL, &error) : NULL;

    if (bytes && (graph || !strstr (error->message, expected))) {
      printf ("%s\n", graph ? "it loaded" : error->message);
      fflush (stdout);
      _exit (1);
    }
    _exit (0);
  }
  if (child < 0 || wait4 (child, &status, 0, &usage) != child || !WIFEXITED (status) ||
      WEXITSTATUS (status) != 0)
    return -1;
  return usage.ru_maxrss;
}

static void
check_resident (const char *label, GBytes *bytes, const char *expected, long factor, long base_mb)
{
  const long before = resident (NULL, ""), used = resident (bytes, expected);
  const long allowed = before + base_mb * 1024 + factor * (long) (g_bytes_get_size (bytes) / 1024);

  if (used < 0 || used > allowed)
    CHECK_FAIL ("%s: %ld kB, of which %ld are the program's; %ld are allowed", label, used, before,
        allowed);
}

static GBytes *
repeated_field (int field, const char *contents, gsize size, int times)
{
  GByteArray *bytes = g_byte_array_new (), *graph = g_byte_array_new ();

  for (int i = 0; i < times; i++)
    onnx_bytes (graph, field, contents, size);
  onnx_int (bytes, 1, 8);
  onnx_message (bytes, 7, graph);
  return g_byte_array_free_to_bytes (bytes);
}

/* One byte on the wire for each of eight in memory. */
static GBytes *
packed_dims (int times)
{
  GByteArray *tensor = g_byte_array_new (), *ones = g_byte_array_new ();
  g_autoptr (GByteArray) all = NULL;
  GBytes *bytes;

  for (int i = 0; i < times; i++)
    onnx_varint (ones, 1);
  onnx_message (tensor, 1, ones);
  all = tensor;
  bytes = repeated_field (5, (const char *) all->data, all->len, 1);
  return bytes;
}

static void
test_memory (void)
{
  static const struct {
    const char *text, *message;
  } constants[] = {
      {"opset 11; input x 1 3 8 8; claim w 1000 1000 1000; Add x w -> y; output y", "its data has"},
      {"opset 11; input x 1 3 8 8; ints s = 100 3 1000 1000; ConstantOfShape s -> w; Conv x w -> y "
       "pads=[500,500,500,500]; output y",
          "are allowed"},
      {"opset 11; input x 1 3 8 8; ints s = 40000 40000; ConstantOfShape s -> w; Add w w -> v; "
       "Add x v -> y; output y",
          "are allowed"},
      {"opset 11; input x 1 3 8 8; Flatten x -> f; ints s = 3000 3000; ConstantOfShape s -> a; "
       "Transpose a -> b; Transpose b -> c; Transpose c -> d; Transpose d -> e; MatMul f e -> y; "
       "output y",
          "are allowed"},
  };
  if (SANITIZED_ADDRESS)
    SKIP ("the sanitizer's own memory is counted too");

  g_autoptr (GBytes) tensors = repeated_field (5, "", 0, 1000000);
  g_autoptr (GBytes) nodes = repeated_field (1, "", 0, 500000);
  g_autoptr (GBytes) names = repeated_field (1, "\x0a\x00\x0a\x00\x12\x00", 6, 300000);
  g_autoptr (GBytes) dims = packed_dims (2000000);

  /* the message: 64 times the file and 16 MB; constants: 8 times and 128 MB */
  check_resident ("empty tensors", tensors, "no real model does", 64, 24);
  check_resident ("empty nodes", nodes, "", 64, 24);
  check_resident ("empty names", names, "", 64, 24);
  check_resident ("packed dims", dims, "", 64, 24);
  for (gsize i = 0; i < G_N_ELEMENTS (constants); i++) {
    g_autoptr (GBytes) bytes = model_bytes (constants[i].text);

    check_resident (constants[i].text, bytes, constants[i].message, 72, 152);
  }
}

int
main (void)
{
  RUN (test_opsets);
  RUN (test_every_budget);
  RUN (test_memory);
  return check_done ();
}
