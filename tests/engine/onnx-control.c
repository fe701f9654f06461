/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-control.c: If and Loop that cannot be imported, or that are hostile. Those that can are among
 * models/.
 */
#include <string.h>

#include "engine/engine.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/onnx.pb-c.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"

#define MODEL       ENGINE_ERROR_MODEL
#define UNSUPPORTED ENGINE_ERROR_UNSUPPORTED

static EngineOnnx__ModelProto *
unpack (const char *text)
{
  g_autoptr (GByteArray) bytes = onnx_text (text);

  return engine_onnx__model_proto__unpack (NULL, bytes->len, bytes->data);
}

/* The model of a text whose first node gets the graphs of other texts as attributes. */
static GBytes *
with_graphs (const char *text, const char *const *names, EngineOnnx__GraphProto **graphs, int n)
{
  EngineOnnx__ModelProto *model = unpack (text);
  EngineOnnx__NodeProto *node = model->graph->node[0];
  EngineOnnx__AttributeProto attributes[2], *list[2];
  const gsize n_attribute = node->n_attribute;
  guint8 *bytes;
  gsize size;

  for (int i = 0; i < n; i++) {
    engine_onnx__attribute_proto__init (&attributes[i]);
    attributes[i].name = (char *) names[i];
    attributes[i].g = graphs[i];
    list[i] = &attributes[i];
  }
  node->attribute = list;
  node->n_attribute = n;
  size = engine_onnx__model_proto__get_packed_size (model);
  bytes = g_malloc (size);
  engine_onnx__model_proto__pack (model, bytes);
  CHECK_INT (n_attribute, ==, 0); /* which would leak */
  node->attribute = NULL;
  node->n_attribute = 0;
  engine_onnx__model_proto__free_unpacked (model, NULL);
  return g_bytes_new_take (bytes, size);
}

static void
check_refused (GBytes *bytes, EngineError code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineGraph) graph = engine_onnx_import_bytes (bytes, "model.onnx", NULL, &error);

  if (graph)
    CHECK_FAIL ("loaded; expected: %s", message);
  else if (error->code != (int) code || !strstr (error->message, message))
    CHECK_FAIL ("--- got %d\n%s\n--- expected %d\n%s", error->code, error->message, code, message);
}

/* An If whose condition is 1 with this branch, or, `name` "body", a Loop. */
static void
check_graph (const char *text, const char *name, const char *graph, EngineError code,
    const char *message)
{
  EngineOnnx__ModelProto *inner = unpack (graph);
  g_autoptr (GBytes) bytes = with_graphs (text, &name, &inner->graph, 1);

  check_refused (bytes, code, message);
  engine_onnx__model_proto__free_unpacked (inner, NULL);
}

/* A body with an initialiser of this name. */
static void
check_initialiser (const char *text, char *name, const char *message)
{
  EngineOnnx__ModelProto *inner =
      unpack ("input i; input c; input v; floats w 1; Mul v w -> o; output c; output o");
  EngineOnnx__TensorProto *tensor = inner->graph->initializer[0];
  char *own = tensor->name;
  g_autoptr (GBytes) bytes = NULL;

  tensor->name = name;
  bytes = with_graphs (text, (const char *[]){"body"}, &inner->graph, 1);
  tensor->name = own;
  check_refused (bytes, MODEL, message);
  engine_onnx__model_proto__free_unpacked (inner, NULL);
}

static void
check_text (const char *text, EngineError code, const char *message)
{
  g_autoptr (GByteArray) array = onnx_text (text);
  g_autoptr (GBytes) bytes = g_bytes_new (array->data, array->len);

  check_refused (bytes, code, message);
}

static void
test_nodes (void)
{
  check_text ("input x 1 3 8 8; If x -> y; output y", UNSUPPORTED,
      "node \"y\" (If): input 0 (\"x\") is computed from the image");
  check_text ("input x 1 3 8 8; int c = 1; If c -> y; output y", MODEL,
      "node \"y\" (If): attribute \"then_branch\" is missing, or no graph");
  check_text ("input x 1 3 8 8; int c = 0; If c -> y then_branch=3; output y", MODEL,
      "attribute \"else_branch\" is missing");
  check_text ("input x 1 3 8 8; ints c = 0 1; If c -> y; output y", MODEL,
      "a condition of 2 elements");
  check_text ("input x 1 3 8 8; int n = 3; Loop n _ x -> y; output y", MODEL,
      "attribute \"body\" is missing");
  check_text ("input x 1 3 8 8; int n = 3; Loop n _ x -> y z; output y", UNSUPPORTED,
      "outputs that collect");
}

#define IF "input x 1 3 8 8; int c = 1; If c -> y; output y"

static void
test_branches (void)
{
  const char *then = "then_branch";

  check_graph (IF, then, "Foo x -> o; output o", UNSUPPORTED,
      "1 node is of ops that are not supported: Foo (node \"o\")");
  check_graph (IF, then, "Relu nothing -> o; output o", MODEL,
      "node \"o\" (Relu) reads \"nothing\", which is neither an input nor an initialiser");
  check_graph (IF, then, "Relu y -> o; output o", MODEL, "the nodes form a cycle");
  check_graph (IF, then, "Relu x -> x; output x", MODEL, "two values are named \"x\"");
  check_graph (IF, then, "Relu x -> o; Relu x -> p; output o; output p", UNSUPPORTED,
      "\"then_branch\" has 2 outputs; 1 can be done");
  check_graph (IF, then, "floats w 1 = nan; Mul x w -> o; output o", MODEL, "nan");
  check_graph (IF, "else_branch", "Relu x -> o; output o", MODEL,
      "attribute \"then_branch\" is missing");
}

#define LOOP "input x 1 3 8 8; int n = 1000000; Loop n _ x -> y; output y"

static void
test_bodies (void)
{
  check_graph (LOOP, "body", "input i; input c; input v; Relu v -> o; output c; output o",
      UNSUPPORTED, "node \"y\" (Loop): more than 8192 runs");
  check_graph (LOOP, "body", "input i; input c; Relu x -> o; output c; output o", MODEL,
      "its body has 2 inputs, not 3");
  check_graph (LOOP, "body", "input i; input c; input v; Relu v -> o; output o; output v",
      UNSUPPORTED, "whether it goes on is computed from the image");
  check_graph (LOOP, "body", "input i; input x; input v; Relu v -> o; output x; output o", MODEL,
      "two values are named \"x\"");
  check_graph (LOOP, "body", "input i; input c; input v; Relu v -> v; output c; output v", MODEL,
      "two values are named \"v\"");
  check_initialiser (LOOP, NULL, "an initialiser has no name");
  check_initialiser (LOOP, (char *) "x", "two values are named \"x\"");
  check_initialiser (LOOP, (char *) "a\nb", "has control characters");
}

/* Subgraphs in subgraphs: more than any exporter writes must not cost a stack. */
static void
test_depth (void)
{
  GByteArray *graph = g_byte_array_new ();
  g_autoptr (GByteArray) model = g_byte_array_new ();
  g_autoptr (GBytes) bytes = NULL;

  for (int i = 0; i < 20000; i++) {
    GByteArray *attribute = g_byte_array_new (), *node = g_byte_array_new ();

    onnx_message (attribute, 6, graph);
    onnx_message (node, 5, attribute);
    graph = g_byte_array_new ();
    onnx_message (graph, 1, node);
  }
  onnx_message (model, 7, graph);
  bytes = g_bytes_new (model->data, model->len);
  check_refused (bytes, MODEL, "messages are nested too deeply");
}

int
main (void)
{
  RUN (test_nodes);
  RUN (test_branches);
  RUN (test_bodies);
  RUN (test_depth);
  return check_done ();
}
