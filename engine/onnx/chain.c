/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/chain.c: finds layer normalisations that are written out:
 *
 *     mean = ReduceMean (x); d = Sub (x, mean); variance = ReduceMean (Pow (d, 2) or Mul (d, d))
 *     deviation = Sqrt (Add (variance, epsilon))
 *
 * and then, as PyTorch has it,
 *
 *     y = Div (d, deviation)      [y = Mul (y, scale)] [y = Add (y, shift)]
 *
 * or, as Keras has it, where tf2onnx may take another op for a mean, and reshape the one in d,
 *
 *     inverse = Reciprocal (deviation)      [inverse = Mul (inverse, scale)]
 *     rest = Mul (Neg (mean), inverse)      [rest = Add (rest, shift)]
 *     y = Add (Mul (x, inverse), rest)
 *
 * Nothing but the chain itself may read what is inside it.
 */
#include "engine/onnx/chain.h"

#include <string.h>

typedef const EngineOnnx__NodeProto *Node;

struct _EngineOnnxChains {
  GHashTable *producers; /* name to node */
  GHashTable *readers;   /* name to the number of inputs that are it; outputs of the model count */
  GHashTable *last;      /* name to the last node that reads it */
  GHashTable *inside;    /* node to EngineOnnxChain */
  GPtrArray *all;        /* of EngineOnnxChain */
};

static Node
producer (const EngineOnnxChains *chains, Node node, guint input, const char *op)
{
  Node made = node && input < node->n_input
                  ? g_hash_table_lookup (chains->producers, node->input[input])
                  : NULL;

  return made && made->op_type && strcmp (made->op_type, op) == 0 ? made : NULL;
}

/* What averages, whatever it averages over. */
static Node
mean_before (const EngineOnnxChains *chains, Node node, guint input)
{
  Node mean = producer (chains, node, input, "ReduceMean");

  return mean ? mean : producer (chains, node, input, "GlobalAveragePool");
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

/* Whether the node's inputs are these, two or one. */
static gboolean
reads (Node node, const char *first, const char *second)
{
  return node && node->n_input == (second ? 2 : 1) && strcmp (node->input[0], first) == 0 &&
         (!second || strcmp (node->input[1], second) == 0);
}

/* FALSE where others than the chain read it, too: `expected` of the chain's inputs do. */
static gboolean
append (const EngineOnnxChains *chains, EngineOnnxChain *chain, Node node, int expected)
{
  if (readers (chains, node) != expected)
    return FALSE;
  chain->nodes[chain->n++] = node;
  return TRUE;
}

/* Unless a node of it is another's. */
static void
keep (EngineOnnxChains *chains, const EngineOnnxChain *chain)
{
  EngineOnnxChain *kept;

  for (int i = 0; i < chain->n; i++)
    if (g_hash_table_contains (chains->inside, chain->nodes[i]))
      return;
  kept = g_memdup2 (chain, sizeof *chain);
  g_ptr_array_add (chains->all, kept);
  for (int i = 0; i < kept->n; i++)
    g_hash_table_insert (chains->inside, (gpointer) kept->nodes[i], kept);
}

/* The nodes from the mean to the deviation, which `root` computes. of_mean: how many inputs that are not
 * of these nodes read the mean; of_difference: the difference. */
static gboolean
append_deviation (const EngineOnnxChains *chains, EngineOnnxChain *chain, Node root, int of_mean,
    int of_difference)
{
  Node sum = producer (chains, root, 0, "Add"), variance = mean_before (chains, sum, 0);
  Node pow = producer (chains, variance, 0, "Pow");
  Node square = pow ? pow : producer (chains, variance, 0, "Mul");
  Node d = producer (chains, square, 0, "Sub"), copy = producer (chains, d, 1, "Reshape");
  Node mean = copy ? mean_before (chains, copy, 0) : mean_before (chains, d, 1);

  if (!mean || mean->n_input == 0 ||
      !reads (d, mean->input[0], copy ? copy->output[0] : mean->output[0]) ||
      (!pow && !reads (square, d->output[0], d->output[0])))
    return FALSE;
  chain->mean = mean;
  chain->copy = copy;
  chain->square = square;
  chain->variance = variance;
  chain->epsilon = sum;
  return append (chains, chain, mean, 1 + of_mean) && (!copy || append (chains, chain, copy, 1)) &&
         append (chains, chain, d, (pow ? 1 : 2) + of_difference) &&
         append (chains, chain, square, 1) && append (chains, chain, variance, 1) &&
         append (chains, chain, sum, 1) && append (chains, chain, root, 1);
}

/* --- PyTorch's ------------------------------------------------------------------------------ */

static void
find_quotient (EngineOnnxChains *chains, Node div)
{
  Node d = producer (chains, div, 0, "Sub"), root = producer (chains, div, 1, "Sqrt");
  EngineOnnxChain chain = {.n = 0};

  if (!d || !root)
    return;
  /* d is the difference that is squared, or one of its own */
  if (!append_deviation (chains, &chain, root, 0, 1)) {
    chain.n = 0;
    if (!append_deviation (chains, &chain, root, 1, 0) || !append (chains, &chain, d, 1))
      return;
  }
  if (!reads (d, chain.mean->input[0], chain.mean->output[0]))
    return;
  chain.nodes[chain.n++] = div;
  chain.scale = sole_reader (chains, div, "Mul");
  if (chain.scale)
    chain.nodes[chain.n++] = chain.scale;
  chain.shift = chain.scale ? sole_reader (chains, chain.scale, "Add") : NULL;
  if (chain.shift)
    chain.nodes[chain.n++] = chain.shift;
  keep (chains, &chain);
}

/* --- Keras' --------------------------------------------------------------------------------- */

static void
find_sum (EngineOnnxChains *chains, Node sum)
{
  Node large = producer (chains, sum, 0, "Mul"), shift = producer (chains, sum, 1, "Add");
  Node small = producer (chains, shift ? shift : sum, shift ? 0 : 1, "Mul");
  Node negative = producer (chains, small, 0, "Neg"), scale = producer (chains, small, 1, "Mul");
  Node inverse = producer (chains, scale ? scale : small, scale ? 0 : 1, "Reciprocal");
  Node root = producer (chains, inverse, 0, "Sqrt");
  EngineOnnxChain chain = {.scale = scale, .shift = shift};

  if (!large || !negative || !root || !append_deviation (chains, &chain, root, 1, 0) ||
      !reads (negative, chain.mean->output[0], NULL) ||
      !reads (large, chain.mean->input[0], small->input[1]) ||
      !append (chains, &chain, inverse, scale ? 1 : 2) ||
      (scale && !append (chains, &chain, scale, 2)) || !append (chains, &chain, large, 1) ||
      !append (chains, &chain, negative, 1) || !append (chains, &chain, small, 1) ||
      (shift && !append (chains, &chain, shift, 1)))
    return;
  chain.nodes[chain.n++] = sum;
  keep (chains, &chain);
}

/* --- All ------------------------------------------------------------------------------------ */

static void
note_readers (EngineOnnxChains *chains, const EngineOnnx__GraphProto *proto)
{
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
}

EngineOnnxChains *
engine_onnx_chains_new (const EngineOnnx__GraphProto *proto)
{
  EngineOnnxChains *chains = g_new (EngineOnnxChains, 1);

  chains->producers = g_hash_table_new (g_str_hash, g_str_equal);
  chains->readers = g_hash_table_new (g_str_hash, g_str_equal);
  chains->last = g_hash_table_new (g_str_hash, g_str_equal);
  chains->inside = g_hash_table_new (NULL, NULL);
  chains->all = g_ptr_array_new_with_free_func (g_free);
  note_readers (chains, proto);
  for (gsize i = 0; i < proto->n_node; i++) {
    Node node = proto->node[i];

    if (!node->op_type || node->n_output == 0 || node->n_input != 2)
      continue;
    if (strcmp (node->op_type, "Div") == 0)
      find_quotient (chains, node);
    else if (strcmp (node->op_type, "Add") == 0)
      find_sum (chains, node);
  }
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
  g_ptr_array_unref (chains->all);
  g_free (chains);
}

const EngineOnnxChain *
engine_onnx_chain_of (const EngineOnnxChains *chains, const EngineOnnx__NodeProto *node)
{
  return g_hash_table_lookup (chains->inside, node);
}
