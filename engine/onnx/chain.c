/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/chain.c: finds layer normalisations that are written out:
 *
 *     mean = ReduceMean (x); d = Sub (x, mean); variance = ReduceMean (Pow (d, 2) or Mul (d, d))
 *     y = Div (d, Sqrt (Add (variance, epsilon)))      [y = Mul (y, scale)] [y = Add (y, shift)]
 *
 * Nothing but the chain itself may read what is inside it. Types, axes and constants are looked at when
 * its last node is imported.
 */
#include "engine/onnx/chain.h"

#include <string.h>

typedef const EngineOnnx__NodeProto *Node;

typedef struct {
  Node mean, variance, epsilon; /* ReduceMean, ReduceMean, Add */
  Node scale, shift;            /* Mul and Add, or NULL */
} Chain;

struct _EngineOnnxChains {
  GHashTable *producers; /* name to node */
  GHashTable *readers;   /* name to the number of inputs that are it; outputs of the model count */
  GHashTable *last;      /* name to the last node that reads it */
  GHashTable *inside;    /* nodes */
  GHashTable *ends;      /* node to Chain */
};

static Node
producer (const EngineOnnxChains *chains, Node node, guint input, const char *op)
{
  Node made = node && input < node->n_input
                  ? g_hash_table_lookup (chains->producers, node->input[input])
                  : NULL;

  return made && made->op_type && strcmp (made->op_type, op) == 0 ? made : NULL;
}

static int
readers (const EngineOnnxChains *chains, Node node)
{
  return GPOINTER_TO_INT (g_hash_table_lookup (chains->readers, node->output[0]));
}

static void
count_reader (EngineOnnxChains *chains, char *name)
{
  g_hash_table_insert (chains->readers, name,
      GINT_TO_POINTER (GPOINTER_TO_INT (g_hash_table_lookup (chains->readers, name)) + 1));
}

/* The node with this op that alone reads `node`, which is one of its two inputs. */
static Node
sole_reader (const EngineOnnxChains *chains, Node node, const char *op)
{
  Node reader =
      readers (chains, node) == 1 ? g_hash_table_lookup (chains->last, node->output[0]) : NULL;

  return reader && reader->op_type && strcmp (reader->op_type, op) == 0 && reader->n_input == 2
             ? reader
             : NULL;
}

static gboolean
subtracts (Node sub, Node mean)
{
  return sub && sub->n_input == 2 && mean->n_input > 0 &&
         strcmp (sub->input[0], mean->input[0]) == 0 &&
         strcmp (sub->input[1], mean->output[0]) == 0;
}

/* The difference that `square` squares: of Pow with any exponent, which is read later. */
static Node
squared (const EngineOnnxChains *chains, Node square)
{
  Node d = producer (chains, square, 0, "Sub");

  if (d && strcmp (square->op_type, "Mul") == 0 && producer (chains, square, 1, "Sub") != d)
    return NULL;
  return d;
}

/* Notes the nodes inside if all that reads them is inside, too. */
static gboolean
note (EngineOnnxChains *chains, const Node *nodes, const int *reads, int n)
{
  for (int i = 0; i < n; i++)
    if (readers (chains, nodes[i]) != reads[i])
      return FALSE;
  for (int i = 0; i < n; i++)
    g_hash_table_add (chains->inside, (gpointer) nodes[i]);
  return TRUE;
}

static void
find_at (EngineOnnxChains *chains, Node div)
{
  Node d = producer (chains, div, 0, "Sub"), root = producer (chains, div, 1, "Sqrt");
  Node sum = producer (chains, root, 0, "Add");
  Node variance = producer (chains, sum, 0, "ReduceMean");
  Node pow = producer (chains, variance, 0, "Pow");
  Node square = pow ? pow : producer (chains, variance, 0, "Mul");
  Node inner = squared (chains, square), mean = producer (chains, d, 1, "ReduceMean");
  Node end = div, next;
  Chain chain = {mean, variance, sum, NULL, NULL};

  if (!mean || !inner || !subtracts (d, mean) || !subtracts (inner, mean))
    return;
  const Node nodes[] = {mean, d, square, variance, sum, root, inner};
  const int squares = pow ? 1 : 2, same = inner == d;
  const int reads[] = {same ? 1 : 2, same ? 1 + squares : 1, 1, 1, 1, 1, squares};

  if (!note (chains, nodes, reads, same ? 6 : 7))
    return;
  next = sole_reader (chains, end, "Mul");
  if (next) {
    g_hash_table_add (chains->inside, (gpointer) end);
    end = chain.scale = next;
  }
  next = chain.scale ? sole_reader (chains, end, "Add") : NULL;
  if (next) {
    g_hash_table_add (chains->inside, (gpointer) end);
    end = chain.shift = next;
  }
  g_hash_table_insert (chains->ends, (gpointer) end, g_memdup2 (&chain, sizeof chain));
}

EngineOnnxChains *
engine_onnx_chains_new (const EngineOnnx__GraphProto *proto)
{
  EngineOnnxChains *chains = g_new (EngineOnnxChains, 1);

  chains->producers = g_hash_table_new (g_str_hash, g_str_equal);
  chains->readers = g_hash_table_new (g_str_hash, g_str_equal);
  chains->last = g_hash_table_new (g_str_hash, g_str_equal);
  chains->inside = g_hash_table_new (NULL, NULL);
  chains->ends = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  for (gsize i = 0; i < proto->n_node; i++) {
    if (proto->node[i]->n_output > 0)
      g_hash_table_insert (chains->producers, proto->node[i]->output[0], proto->node[i]);
    for (gsize k = 0; k < proto->node[i]->n_input; k++) {
      count_reader (chains, proto->node[i]->input[k]);
      g_hash_table_insert (chains->last, proto->node[i]->input[k], proto->node[i]);
    }
  }
  for (gsize i = 0; i < proto->n_output; i++)
    if (proto->output[i]->name)
      count_reader (chains, proto->output[i]->name);
  for (gsize i = 0; i < proto->n_node; i++)
    if (proto->node[i]->op_type && strcmp (proto->node[i]->op_type, "Div") == 0 &&
        proto->node[i]->n_output > 0)
      find_at (chains, proto->node[i]);
  return chains;
}

void
engine_onnx_chains_free (EngineOnnxChains *chains)
{
  if (!chains)
    return;
  g_hash_table_unref (chains->producers);
  g_hash_table_unref (chains->readers);
  g_hash_table_unref (chains->last);
  g_hash_table_unref (chains->inside);
  g_hash_table_unref (chains->ends);
  g_free (chains);
}

gboolean
engine_onnx_chains_skip (const EngineOnnxChains *chains, const EngineOnnx__NodeProto *node)
{
  return g_hash_table_contains (chains->inside, node);
}

gboolean
engine_onnx_chains_end (const EngineOnnxChains *chains, const EngineOnnx__NodeProto *node)
{
  return g_hash_table_contains (chains->ends, node);
}

/* --- Import --------------------------------------------------------------------------------- */

/* The axis that a ReduceMean averages, which it keeps. */
static gboolean
mean_axis (EngineOnnx *onnx, Node mean, int rank, int *axis, GError **error)
{
  const EngineOnnxNode at = {mean, mean->output[0]}, *node = &at;
  g_autofree gint64 *axes = NULL;
  gint64 keep;
  int n;

  if (!engine_onnx_int (node, "keepdims", 1, &keep, error) ||
      !engine_onnx_ints_or_input (onnx, node, "axes", 1, &axes, &n, error))
    return FALSE;
  if (n != 1 || !keep)
    return ENGINE_ONNX_UNSUPPORTED ("a layer normalisation over several axes; one can be done");
  return engine_onnx_axis (node, axes[0], rank, axis, error);
}

/* The constant among the two inputs of a Mul or Add. */
static const EngineOnnxConstant *
operand (EngineOnnx *onnx, Node proto, GError **error)
{
  const EngineOnnxNode at = {proto, proto->output[0]}, *node = &at;

  for (guint i = 0; i < 2; i++) {
    const EngineOnnxValue *value = g_hash_table_lookup (onnx->values, proto->input[i]);

    if (value && value->constant)
      return engine_onnx_floats (onnx, node, i, error);
    if (!value && g_hash_table_contains (onnx->tensors, proto->input[i]))
      return engine_onnx_floats (onnx, node, i, error);
  }
  ENGINE_ONNX_UNSUPPORTED ("a layer normalisation whose scale or shift is computed");
  return NULL;
}

/* Exponents other than 2 make no variance. */
static gboolean
check_square (EngineOnnx *onnx, const EngineOnnxChains *chains, Node variance, GError **error)
{
  Node pow = producer (chains, variance, 0, "Pow");
  const EngineOnnxNode at = {pow, pow ? pow->output[0] : ""}, *node = &at;
  float exponent = 2;

  if (pow && !engine_onnx_scalar (onnx, node, 1, &exponent, error))
    return FALSE;
  return exponent == 2 ||
         ENGINE_ONNX_UNSUPPORTED ("a normalisation with the exponent %g; 2 can be done", exponent);
}

gboolean
engine_onnx_import_chain (EngineOnnx *onnx, const EngineOnnxChains *chains,
    const EngineOnnxNode *node, GError **error)
{
  const Chain *chain = g_hash_table_lookup (chains->ends, node->proto);
  const EngineOnnxNode mean = {chain->mean, node->name};
  const EngineOnnxNode epsilon_node = {chain->epsilon, node->name};
  EngineOnnxValue *x = engine_onnx_activation (onnx, &mean, 0, error);
  const EngineOnnxConstant *scale = NULL, *shift = NULL;
  float epsilon;
  int axis, other;

  if (!x || !mean_axis (onnx, chain->mean, x->rank, &axis, error) ||
      !mean_axis (onnx, chain->variance, x->rank, &other, error) ||
      !check_square (onnx, chains, chain->variance, error) ||
      !engine_onnx_scalar (onnx, &epsilon_node, 1, &epsilon, error))
    return FALSE;
  if (other != axis)
    return ENGINE_ONNX_UNSUPPORTED ("mean and variance over different axes");
  if (chain->scale) {
    scale = operand (onnx, chain->scale, error);
    if (!scale)
      return FALSE;
  }
  if (chain->shift) {
    shift = operand (onnx, chain->shift, error);
    if (!shift)
      return FALSE;
  }
  return engine_onnx_layernorm (onnx, node, x, axis, scale, shift, epsilon, error);
}
