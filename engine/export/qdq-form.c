/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export/qdq-form.c: in which order of axes a tensor of the ONNX file holds a value, and the
 * Transpose and Reshape nodes between two orders.
 *
 * Reshapes that only split or join channels, and transposes that only move them, as in a channel
 * shuffle, are done with the channels in front, so that nothing else moves.
 */
#include "engine/export/qdq.h"

#include <string.h>

static const EngineExportForm plain_form;

static const EngineValue *
value_of (const EngineExport *x, int value)
{
  return engine_graph_value (x->graph, value);
}

/* The stored axes before the first channel. */
static int
n_leading (const EngineExportForm *form)
{
  return form->merged ? 1 : 1 + form->n_spatial;
}

int
engine_export_dims (const EngineExport *x, int value, const EngineExportForm *form,
    int dims[ENGINE_EXPORT_MAX_RANK])
{
  const EngineValue *v = value_of (x, value);
  const int leading = n_leading (form);
  int rank = 0;

  dims[rank++] = form->merged || v->dims[0] == 1 ? 0 : -1;
  for (int i = leading; i < v->rank; i++)
    dims[rank++] = v->dims[i];
  for (int i = 0; i < form->n_spatial; i++)
    dims[rank++] = form->spatial[i];
  return rank;
}

int
engine_export_axis (const EngineExport *x, int value, const EngineExportForm *form, int axis)
{
  const int leading = n_leading (form), n_channels = value_of (x, value)->rank - leading;

  if (form->n_spatial == 0 || axis == 0)
    return axis;
  return axis >= leading ? 1 + axis - leading : n_channels + axis;
}

gboolean
engine_export_same_order (const EngineExportForm *a, const EngineExportForm *b)
{
  return a->n_spatial == b->n_spatial && a->merged == b->merged;
}

/* Whether the elements lie in the same order as those of the plain form. */
static gboolean
is_plain_in_memory (const EngineExport *x, int value, const EngineExportForm *form)
{
  const EngineValue *v = value_of (x, value);
  gint64 spatial = 1, channels = 1;

  for (int i = 0; i < form->n_spatial; i++)
    spatial *= form->spatial[i];
  for (int i = n_leading (form); i < v->rank; i++)
    channels *= v->dims[i];
  return spatial == 1 || channels == 1;
}

/* --- Nodes ---------------------------------------------------------------------------------- */

/* A copied dim where both are the batch: a -1 would make readers forget what it is. */
static void
add_reshape (EngineExport *x, int value, const char *tensor, gboolean from_batch, const int *dims,
    int rank, const char *output)
{
  int wanted[ENGINE_EXPORT_MAX_RANK];

  memcpy (wanted, dims, rank * sizeof (int));
  wanted[0] = from_batch && dims[0] == 0 ? 0 : -1;
  engine_export_op (x, "Reshape", tensor,
      engine_export_int64s (x, engine_export_name (x, value, "_shape"), wanted, rank), output);
}

static void
add_transpose (EngineExport *x, const char *tensor, const int *perm, int rank, const char *output)
{
  EngineOnnx__NodeProto *node = engine_export_op (x, "Transpose", tensor, NULL, output);

  engine_onnx_writer_ints (x->writer, node, "perm", perm, rank);
}

/* A step of a conversion: int8 values keep their levels. */
static const char *
end_step (EngineExport *x, int value, const char *tensor, const char *suffix)
{
  const EngineValue *v = value_of (x, value);

  return v->type == ENGINE_TYPE_S8 ? engine_export_pair (x, value, tensor, &v->quant, suffix)
                                   : tensor;
}

static gboolean
has_batch_axis (const EngineExport *x, int value, const EngineExportForm *form)
{
  return form->merged || value_of (x, value)->dims[0] == 1;
}

/* --- To plain ------------------------------------------------------------------------------- */

static const char *
move_channels_last (EngineExport *x, int value, const EngineExportForm *from)
{
  const int n_channels = value_of (x, value)->rank - n_leading (from);
  const char *output = engine_export_name (x, value, "_nhwc");
  int perm[ENGINE_EXPORT_MAX_RANK] = {0}, rank = 1;

  for (int i = 0; i < from->n_spatial; i++)
    perm[rank++] = 1 + n_channels + i;
  for (int i = 0; i < n_channels; i++)
    perm[rank++] = 1 + i;
  add_transpose (x, from->tensor, perm, rank, output);
  return end_step (x, value, output, "_nhwc");
}

EngineExportForm
engine_export_plain (EngineExport *x, int value)
{
  const EngineExportForm *from = &x->forms[value];
  EngineExportForm *to = &x->plains[value];
  const gboolean in_order = is_plain_in_memory (x, value, from);
  int dims[ENGINE_EXPORT_MAX_RANK];

  if (from->n_spatial == 0)
    return *from;
  if (to->tensor)
    return *to;
  *to = plain_form;
  to->tensor = in_order ? from->tensor : move_channels_last (x, value, from);
  if (in_order || from->merged) {
    const char *output = engine_export_name (x, value, "_plain");
    const int rank = engine_export_dims (x, value, to, dims);

    add_reshape (x, value, to->tensor, TRUE, dims, rank, output);
    to->tensor = end_step (x, value, output, "_plain");
  }
  return *to;
}

/* --- To pictures ---------------------------------------------------------------------------- */

static gboolean
is_picture (const EngineExport *x, int value, const EngineExportForm *form)
{
  return form->n_spatial && !form->merged && value_of (x, value)->rank - n_leading (form) == 1;
}

static EngineExportForm
picture_form (const EngineValue *value)
{
  EngineExportForm form = {.n_spatial = MAX (value->rank - 2, 0)};

  for (int i = 0; i < form.n_spatial; i++)
    form.spatial[i] = value->dims[1 + i];
  return form;
}

static const char *
move_channels_first (EngineExport *x, int value, const char *tensor)
{
  const int rank = value_of (x, value)->rank;
  const char *output = engine_export_name (x, value, "_nchw");
  int perm[ENGINE_EXPORT_MAX_RANK] = {0, rank - 1};

  for (int i = 2; i < rank; i++)
    perm[i] = i - 1;
  add_transpose (x, tensor, perm, rank, output);
  return end_step (x, value, output, "_nchw");
}

EngineExportForm
engine_export_picture (EngineExport *x, int value)
{
  const EngineValue *v = value_of (x, value);
  EngineExportForm *to = &x->pictures[value];

  if (is_picture (x, value, &x->forms[value]))
    return x->forms[value];
  if (to->tensor)
    return *to;

  const EngineExportForm from = engine_export_plain (x, value);

  if (v->rank > 2) {
    const char *moved = move_channels_first (x, value, from.tensor);

    *to = picture_form (v);
    to->tensor = moved;
  } else {
    const char *output = engine_export_name (x, value, "_nchw");
    const int dims[4] = {has_batch_axis (x, value, &from) ? 0 : -1, v->dims[1], 1, 1};

    add_reshape (x, value, from.tensor, dims[0] == 0, dims, 4, output);
    *to = (EngineExportForm){.n_spatial = 2, .spatial = {1, 1}};
    to->tensor = end_step (x, value, output, "_nchw");
  }
  return *to;
}

/* --- Reshape -------------------------------------------------------------------------------- */

/* Whether stored dims begin with the batch and the picture, apart or as one; and then channels. */
static gboolean
begins_with_picture (const EngineValue *v, EngineExportForm *form)
{
  gint64 pixels = 1;
  gboolean apart = v->rank > 1 + form->n_spatial && v->dims[0] == 1;

  for (int i = 0; i < form->n_spatial; i++) {
    pixels *= form->spatial[i];
    apart = apart && v->dims[1 + i] == form->spatial[i];
  }
  form->merged = !apart;
  return apart || (v->dims[0] == pixels && v->rank > 1);
}

/* In the form that the reshape leaves: only channels are split or joined, or all is plain. */
void
engine_export_reshape (EngineExport *x, const EngineNode *node)
{
  const int input = node->inputs[0], output = node->output;
  const EngineValue *v = value_of (x, output);
  EngineExportForm from = x->forms[input], to = from;
  int dims[ENGINE_EXPORT_MAX_RANK];

  to.tensor = NULL;
  /* Spread out, merged axes may be more than a reader takes. */
  if (from.n_spatial == 0 || !begins_with_picture (v, &to) ||
      engine_export_dims (x, output, &to, dims) > ENGINE_MAX_RANK) {
    to = plain_form;
    if (from.n_spatial == 0 || !is_plain_in_memory (x, input, &from))
      from = engine_export_plain (x, input);
    /* A picture of one pixel is one in either order. */
    const EngineExportForm picture = picture_form (v);
    if (v->dims[0] == 1 && v->rank > 2 && v->rank <= 4 && is_plain_in_memory (x, output, &picture))
      to = picture;
  }

  const int rank = engine_export_dims (x, output, &to, dims);
  const char *result = engine_export_result (x, output);

  add_reshape (x, output, from.tensor, has_batch_axis (x, input, &from), dims, rank, result);
  engine_export_define (x, output, result, &to);
}

/* --- Transpose ------------------------------------------------------------------------------ */

/* The order of axes in the file: the stored axis of each. */
static void
axes_in_file (const EngineExport *x, int value, const EngineExportForm *form, int *axes)
{
  const int rank = value_of (x, value)->rank;

  for (int i = 0; i < rank; i++)
    axes[engine_export_axis (x, value, form, i)] = i;
}

/* Whether the tensor of the input is that of the output in the form `to`. Forms that are not
 * merged. */
static gboolean
is_same_tensor (const EngineExport *x, const EngineNode *node, const EngineExportForm *to)
{
  const int rank = value_of (x, node->output)->rank;
  int from_axes[ENGINE_MAX_RANK], to_axes[ENGINE_MAX_RANK];

  axes_in_file (x, node->inputs[0], &x->forms[node->inputs[0]], from_axes);
  axes_in_file (x, node->output, to, to_axes);
  for (int i = 0; i < rank; i++)
    if (from_axes[i] != node->transpose.perm[to_axes[i]])
      return FALSE;
  return TRUE;
}

/* Only channels change places. */
static gboolean
keeps_picture (const EngineExportForm *form, const EngineNode *node)
{
  for (int i = 0; i < n_leading (form); i++)
    if (node->transpose.perm[i] != i)
      return FALSE;
  return form->n_spatial > 0;
}

static void
transpose_channels (EngineExport *x, const EngineNode *node)
{
  const EngineExportForm *form = &x->forms[node->inputs[0]];
  const int leading = n_leading (form), stored = value_of (x, node->output)->rank;
  const char *result = engine_export_result (x, node->output);
  int perm[ENGINE_EXPORT_MAX_RANK] = {0}, rank = 1;

  for (int i = leading; i < stored; i++)
    perm[rank++] = 1 + node->transpose.perm[i] - leading;
  for (int i = 0; i < form->n_spatial; i++, rank++)
    perm[rank] = rank;
  add_transpose (x, form->tensor, perm, rank, result);
  engine_export_define (x, node->output, result, form);
}

void
engine_export_transpose (EngineExport *x, const EngineNode *node)
{
  const EngineValue *v = value_of (x, node->output);
  const EngineExportForm candidates[] = {plain_form, picture_form (v)};
  const EngineExportForm *from = &x->forms[node->inputs[0]];

  for (gsize i = 0; i < G_N_ELEMENTS (candidates) && !from->merged; i++) {
    EngineExportForm form = candidates[i];

    if (!is_same_tensor (x, node, &form))
      continue;
    form.tensor = from->tensor;
    engine_export_alias (x, node->output, &form);
    return;
  }
  if (keeps_picture (from, node)) {
    transpose_channels (x, node);
    return;
  }

  const EngineExportForm plain = engine_export_plain (x, node->inputs[0]);
  const char *result = engine_export_result (x, node->output);

  add_transpose (x, plain.tensor, node->transpose.perm, v->rank, result);
  engine_export_define (x, node->output, result, &plain_form);
}
