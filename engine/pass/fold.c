/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pass/fold.c: what an importer leaves behind. Takes out nodes that change nothing, and replaces
 * every chain of reshapes and transposes by the shortest that moves the elements alike.
 *
 * A chain is followed symbolically: axes are cut into atoms, the largest pieces that stay together.
 * A reshape regroups the atoms (and may cut one), a transpose permutes groups. If the atoms end in
 * the order in which they began, nothing moved. NCHW and back costs nothing that way, and the
 * channel shuffle of ShuffleNet, written as five nodes in NCHW, becomes one transpose in NHWC.
 */
#include <math.h>
#include <string.h>

#include "engine/pass/pass.h"
#include "engine/rewrite.h"

#define MAX_ATOMS 32
#define MAX_CHAIN 16 /* nodes followed back; what is longer was shortened on the way */

/* Atom 0 stands for the images of a batch: size 1 here, never dropped, always first. The others
 * are larger than 1. */
typedef struct {
  int n;
  gint64 size[MAX_ATOMS];
  int source[MAX_ATOMS];  /* atoms in the order of the chain's input */
  int current[MAX_ATOMS]; /* and after the nodes followed so far */
} Atoms;

static int
position (const int *order, int n, int atom)
{
  for (int i = 0; i < n; i++)
    if (order[i] == atom)
      return i;
  g_return_val_if_reached (0);
}

static void
insert (int *order, int n, int at, int atom)
{
  memmove (order + at + 1, order + at, (n - at) * sizeof (int));
  order[at] = atom;
}

static void
atoms_init (Atoms *atoms, const EngineValue *value)
{
  atoms->n = 1;
  atoms->size[0] = 1;
  for (int i = 0; i < value->rank; i++)
    if (value->dims[i] > 1)
      atoms->size[atoms->n++] = value->dims[i];
  for (int i = 0; i < atoms->n; i++)
    atoms->source[i] = atoms->current[i] = i;
}

/* Cuts the atom at a position of `current` into a front of the given size and the rest. */
static gboolean
atoms_cut (Atoms *atoms, int at, int front)
{
  const int atom = atoms->current[at], rest = atoms->n;

  if (rest == MAX_ATOMS)
    return FALSE;
  atoms->size[rest] = atoms->size[atom] / front;
  atoms->size[atom] = front;
  insert (atoms->current, rest, at + 1, rest);
  insert (atoms->source, rest, position (atoms->source, rest, atom) + 1, rest);
  atoms->n++;
  return TRUE;
}

/* Joins atoms that are neighbours in both orders, from position `first` on; the front one's number
 * is kept. */
static void
atoms_join (Atoms *atoms, int first)
{
  for (int i = first; i + 1 < atoms->n;) {
    const int atom = atoms->current[i], next = atoms->current[i + 1];
    const int at = position (atoms->source, atoms->n, atom);
    const int last = atoms->n - 1;

    if (at + 1 >= atoms->n || atoms->source[at + 1] != next) {
      i++;
      continue;
    }
    atoms->size[atom] *= atoms->size[next];
    memmove (atoms->current + i + 1, atoms->current + i + 2, (last - i - 1) * sizeof (int));
    memmove (atoms->source + at + 1, atoms->source + at + 2, (last - at - 1) * sizeof (int));
    /* the number of the atom that vanished goes to the last one */
    for (int j = 0; j < last; j++) {
      atoms->current[j] = atoms->current[j] == last ? next : atoms->current[j];
      atoms->source[j] = atoms->source[j] == last ? next : atoms->source[j];
    }
    atoms->size[next] = atoms->size[last];
    atoms->n--;
  }
}

/* Finds the atoms of each axis: end[i] is the position behind axis i's last. Cuts atoms where an
 * axis ends inside one; FALSE where that does not divide. */
static gboolean
atoms_group (Atoms *atoms, const EngineValue *value, int end[ENGINE_MAX_RANK])
{
  int at = 1;

  for (int i = 0; i < value->rank; i++) {
    for (int left = value->dims[i]; left > 1; at++) {
      const gint64 size = at < atoms->n ? atoms->size[atoms->current[at]] : 0;

      if (size > 0 && size <= left && left % size == 0)
        left /= size;
      else if (size > left && size % left == 0 && atoms_cut (atoms, at, left))
        left = 1;
      else
        return FALSE;
    }
    end[i] = at;
  }
  return TRUE;
}

static gboolean
atoms_transpose (Atoms *atoms, const EngineValue *x, const int *perm)
{
  int end[ENGINE_MAX_RANK], order[MAX_ATOMS], n = 0;

  if (perm[0] != 0 || !atoms_group (atoms, x, end))
    return FALSE;
  for (int i = 0; i < x->rank; i++)
    for (int at = perm[i] ? end[perm[i] - 1] : 0; at < end[perm[i]]; at++)
      order[n++] = atoms->current[at];
  memcpy (atoms->current, order, n * sizeof (int));
  return TRUE;
}

static gboolean
atoms_follow (Atoms *atoms, const EngineGraph *graph, const EngineNode *node)
{
  int end[ENGINE_MAX_RANK];

  if (node->op == ENGINE_OP_TRANSPOSE)
    return atoms_transpose (atoms, engine_graph_value (graph, node->inputs[0]),
        node->transpose.perm);
  atoms_join (atoms, 1);
  return atoms_group (atoms, engine_graph_value (graph, node->output), end);
}

/* --- Chains --------------------------------------------------------------------------------- */

typedef struct {
  Atoms atoms;    /* one axis each */
  gboolean moves; /* a transpose is needed */
  int nodes;      /* in all, and with the last one reshape */
} Move;

static gboolean
is_move (const EngineNode *node)
{
  return node && (node->op == ENGINE_OP_RESHAPE || node->op == ENGINE_OP_TRANSPOSE);
}

static gboolean
has_dims (const EngineValue *value, const Atoms *atoms, const int *order)
{
  if (value->rank != atoms->n)
    return FALSE;
  for (int i = 0; i < atoms->n; i++)
    if (value->dims[i] != atoms->size[order[i]])
      return FALSE;
  return TRUE;
}

/* A transpose, and a reshape on each side where the atoms are not the axes. */
static int
count_nodes (const EngineValue *x, const EngineValue *y, const Atoms *atoms)
{
  return 1 + !has_dims (x, atoms, atoms->source) + !has_dims (y, atoms, atoms->current);
}

static gboolean
are_axes (const Atoms *atoms)
{
  for (int i = 0; i < atoms->n; i++)
    if (atoms->size[i] > ENGINE_MAX_DIM)
      return FALSE;
  return atoms->n <= ENGINE_MAX_RANK;
}

/* What chain[depth - 1] .. chain[0] do in this order; FALSE where it cannot be said. */
static gboolean
describe_chain (const EngineGraph *graph, EngineNode **chain, int depth, Move *move)
{
  const EngineValue *x = engine_graph_value (graph, chain[depth - 1]->inputs[0]);
  const EngineValue *y = engine_graph_value (graph, chain[0]->output);
  Atoms *atoms = &move->atoms, single;

  atoms_init (atoms, x);
  for (int i = depth - 1; i >= 0; i--)
    if (!atoms_follow (atoms, graph, chain[i]))
      return FALSE;
  single = *atoms;
  atoms_join (atoms, 0);
  move->moves = atoms->n > 1;
  if (!move->moves) {
    move->nodes = engine_value_same_dims (x, y) ? 0 : 1;
    return TRUE;
  }
  if (count_nodes (x, y, &single) == 1) /* larger axes would have to be made first */
    *atoms = single;
  move->nodes = count_nodes (x, y, atoms);
  return are_axes (atoms);
}

static int
add_reshape (EngineGraph *graph, const char *name, int x, const char *output, int rank,
    const int *dims)
{
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_RESHAPE, name, &x, 1, output);
  EngineValue *y = engine_graph_value (graph, node->output);

  y->rank = rank;
  memcpy (y->dims, dims, rank * sizeof (int));
  return node->output;
}

static int
add_transpose (EngineGraph *graph, const char *name, int x, const char *output, const Atoms *atoms)
{
  EngineNode *node = engine_graph_add_node (graph, ENGINE_OP_TRANSPOSE, name, &x, 1, output);
  EngineValue *y = engine_graph_value (graph, node->output);

  y->rank = atoms->n;
  for (int i = 0; i < atoms->n; i++) {
    node->transpose.perm[i] = position (atoms->source, atoms->n, atoms->current[i]);
    y->dims[i] = atoms->size[atoms->current[i]];
  }
  return node->output;
}

/* Builds reshape, transpose, reshape from x, as far as each is needed. */
static void
replace_chain (EngineGraph *graph, int x, int y, const Move *move)
{
  const EngineValue to = *engine_graph_value (graph, y);
  const Atoms *atoms = &move->atoms;
  g_autofree char *name = g_strdup (to.name);
  int value = x, dims[ENGINE_MAX_RANK];

  if (move->moves) {
    if (!has_dims (engine_graph_value (graph, x), atoms, atoms->source)) {
      for (int i = 0; i < atoms->n; i++)
        dims[i] = atoms->size[atoms->source[i]];
      value = add_reshape (graph, name, value, name, atoms->n, dims);
    }
    value = add_transpose (graph, name, value, name, atoms);
  }
  if (!engine_value_same_dims (engine_graph_value (graph, value), &to))
    value = add_reshape (graph, name, value, name, to.rank, to.dims);
  engine_rewrite_stand_for (graph, y, value);
}

/* Whether nobody else reads what the chain makes on its way. */
static gboolean
is_private (const EngineGraph *graph, EngineNode **chain, int depth)
{
  for (int i = 1; i < depth; i++)
    if (engine_graph_sole_consumer (graph, chain[i]->output) != chain[i - 1])
      return FALSE;
  return TRUE;
}

static int
n_transposes (EngineNode **chain, int depth)
{
  int n = 0;

  for (int i = 0; i < depth; i++)
    n += chain[i]->op == ENGINE_OP_TRANSPOSE;
  return n;
}

static void
fold_moves (EngineGraph *graph, int index)
{
  EngineNode *chain[MAX_CHAIN], *node = engine_graph_node (graph, index);
  int depth = 0;

  for (; is_move (node) && depth < MAX_CHAIN;
       node = engine_rewrite_producer (graph, node->inputs[0]))
    chain[depth++] = node;
  for (; depth > 0; depth--) {
    const int before = n_transposes (chain, depth);
    Move move;

    if (!describe_chain (graph, chain, depth, &move))
      continue;
    if (move.moves && !is_private (graph, chain, depth))
      continue; /* the transpose would be done twice */
    if (move.nodes == 0) {
      if (engine_rewrite_bypass (graph, chain[0]->output, chain[depth - 1]->inputs[0]))
        return;
      continue;
    }
    if (move.moves < before || move.nodes < depth) {
      replace_chain (graph, chain[depth - 1]->inputs[0], chain[0]->output, &move);
      return;
    }
  }
}

/* --- Nodes that change nothing -------------------------------------------------------------- */

static gboolean
is_no_op (const EngineGraph *graph, const EngineNode *node)
{
  const EngineValue *x = engine_graph_value (graph, node->inputs[0]);
  const EngineValue *y = engine_graph_value (graph, node->output);

  switch (node->op) {
  case ENGINE_OP_UNARY:
    return node->unary.kind == KERNEL_UNARY_CLIP && node->unary.alpha == -INFINITY &&
           node->unary.beta == INFINITY;
  case ENGINE_OP_CONCAT:
    return node->n_inputs == 1;
  case ENGINE_OP_SLICE:
  case ENGINE_OP_PAD:
    return engine_value_same_dims (x, y);
  default:
    return FALSE;
  }
}

/* A value that is left in one storage only has the model's own name. */
static void
drop_suffixes (EngineGraph *graph)
{
  for (guint i = 0; i < graph->values->len; i++) {
    const char *name = engine_graph_value (graph, i)->name;
    g_autofree char *base = NULL;

    if (!g_str_has_suffix (name, ENGINE_NHWC_SUFFIX) &&
        !g_str_has_suffix (name, ENGINE_NCHW_SUFFIX))
      continue;
    base = g_strndup (name, strlen (name) - strlen (ENGINE_NHWC_SUFFIX));
    if (!g_hash_table_contains (graph->names, base))
      engine_graph_rename (graph, i, base);
  }
}

gboolean
engine_pass_fold (EngineGraph *graph, const EnginePassContext *context, GError **error)
{
  const int n = graph->nodes->len; /* nodes that are added here are as short as they get */

  for (int i = 0; i < n; i++) {
    const EngineNode *node = engine_graph_node (graph, i);

    if (is_no_op (graph, node))
      engine_rewrite_bypass (graph, node->output, node->inputs[0]);
    else if (is_move (node))
      fold_moves (graph, i);
  }
  engine_graph_compact (graph);
  drop_suffixes (graph);
  return TRUE;
}
