/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-node.c: the parameters of every op as two lists of numbers. One function names them in order
 * and serves both directions, so that they cannot disagree.
 */
#include "engine/file.h"

#include <string.h>

typedef struct {
  GArray *ints_out, *floats_out; /* writing; NULL when reading */
  const gint32 *ints;
  const float *floats;
  gsize n_ints, n_floats, next_int, next_float;
} Numbers;

static void
pass_int (Numbers *numbers, int *value)
{
  const gint32 copy = *value;

  if (numbers->ints_out)
    g_array_append_val (numbers->ints_out, copy);
  else if (numbers->next_int < numbers->n_ints)
    *value = numbers->ints[numbers->next_int];
  numbers->next_int++;
}

static void
pass_ints (Numbers *numbers, int *values, int n)
{
  for (int i = 0; i < n; i++)
    pass_int (numbers, &values[i]);
}

static void
pass_flag (Numbers *numbers, gboolean *flag)
{
  int value = *flag != FALSE;

  pass_int (numbers, &value);
  *flag = value != 0;
}

static void
pass_float (Numbers *numbers, float *value)
{
  const float copy = *value;

  if (numbers->floats_out)
    g_array_append_val (numbers->floats_out, copy);
  else if (numbers->next_float < numbers->n_floats)
    *value = numbers->floats[numbers->next_float];
  numbers->next_float++;
}

static void
pass_conv (Numbers *numbers, EngineConvParams *p)
{
  pass_int (numbers, &p->stride_h);
  pass_int (numbers, &p->stride_w);
  pass_int (numbers, &p->dilation_h);
  pass_int (numbers, &p->dilation_w);
  pass_int (numbers, &p->pad_top);
  pass_int (numbers, &p->pad_left);
  pass_int (numbers, &p->pad_bottom);
  pass_int (numbers, &p->pad_right);
  pass_int (numbers, &p->groups);
  pass_float (numbers, &p->lo);
  pass_float (numbers, &p->hi);
}

static void
pass_pool (Numbers *numbers, EnginePoolParams *p)
{
  pass_int (numbers, &p->kh);
  pass_int (numbers, &p->kw);
  pass_int (numbers, &p->stride_h);
  pass_int (numbers, &p->stride_w);
  pass_int (numbers, &p->dilation_h);
  pass_int (numbers, &p->dilation_w);
  pass_int (numbers, &p->pad_top);
  pass_int (numbers, &p->pad_left);
  pass_int (numbers, &p->pad_bottom);
  pass_int (numbers, &p->pad_right);
  pass_flag (numbers, &p->include_pad);
  pass_flag (numbers, &p->ceil_mode);
}

static void
pass_lrn (Numbers *numbers, EngineNode *node)
{
  pass_int (numbers, &node->lrn.before);
  pass_int (numbers, &node->lrn.after);
  pass_float (numbers, &node->lrn.alpha);
  pass_float (numbers, &node->lrn.beta);
  pass_float (numbers, &node->lrn.bias);
}

static void
pass_unary (Numbers *numbers, EngineNode *node)
{
  int kind = node->unary.kind;

  pass_int (numbers, &kind);
  /* A negative number would be no value of the enumeration; COUNT is what the verifier refuses. */
  node->unary.kind = kind >= 0 && kind < KERNEL_UNARY_COUNT ? kind : KERNEL_UNARY_COUNT;
  pass_float (numbers, &node->unary.alpha);
  pass_float (numbers, &node->unary.beta);
}

static void
pass_parameters (Numbers *numbers, EngineNode *node)
{
  switch (node->op) {
  case ENGINE_OP_CONV:
    pass_conv (numbers, &node->conv);
    break;
  case ENGINE_OP_MAXPOOL:
  case ENGINE_OP_AVGPOOL:
    pass_pool (numbers, &node->pool);
    break;
  case ENGINE_OP_MATMUL:
    pass_flag (numbers, &node->matmul.transposed);
    pass_float (numbers, &node->matmul.factor);
    break;
  case ENGINE_OP_LRN:
    pass_lrn (numbers, node);
    break;
  case ENGINE_OP_LAYERNORM:
    pass_float (numbers, &node->layernorm.epsilon);
    break;
  case ENGINE_OP_ADD:
  case ENGINE_OP_MUL:
    pass_float (numbers, &node->binary.lo);
    pass_float (numbers, &node->binary.hi);
    break;
  case ENGINE_OP_UNARY:
    pass_unary (numbers, node);
    break;
  case ENGINE_OP_CONCAT:
    pass_int (numbers, &node->concat.axis);
    break;
  case ENGINE_OP_SLICE:
    pass_int (numbers, &node->slice.axis);
    pass_int (numbers, &node->slice.start);
    pass_int (numbers, &node->slice.size);
    break;
  case ENGINE_OP_TRANSPOSE:
    pass_ints (numbers, node->transpose.perm, ENGINE_MAX_RANK);
    break;
  case ENGINE_OP_PAD:
    pass_ints (numbers, node->pad.before, ENGINE_MAX_RANK);
    pass_ints (numbers, node->pad.after, ENGINE_MAX_RANK);
    pass_float (numbers, &node->pad.value);
    break;
  case ENGINE_OP_SOFTMAX:
    pass_flag (numbers, &node->softmax.log);
    break;
  case ENGINE_OP_AFFINE:
  case ENGINE_OP_RESHAPE:
  case ENGINE_OP_QUANTISE:
  case ENGINE_OP_DEQUANTISE:
  case ENGINE_OP_NARROW:
  case ENGINE_OP_WIDEN:
  case ENGINE_OP_COUNT:
    break;
  }
}

void
engine_file_node_write (const EngineNode *node, GArray *ints, GArray *floats)
{
  EngineNode copy = *node;
  Numbers numbers = {.ints_out = ints, .floats_out = floats};

  pass_parameters (&numbers, &copy);
}

gboolean
engine_file_node_read (EngineNode *node, const gint32 *ints, gsize n_ints, const float *floats,
    gsize n_floats)
{
  Numbers numbers = {.ints = ints, .floats = floats, .n_ints = n_ints, .n_floats = n_floats};

  pass_parameters (&numbers, node);
  return numbers.next_int == n_ints && numbers.next_float == n_floats;
}
