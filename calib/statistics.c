/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statistics.c: the histograms of a network's tensors by name, with where they come from.
 * The file is in statistics-file.c.
 */
#include "calib/private.h"

#include <string.h>

void
calib_provenance_clear (CalibProvenance *p)
{
  g_free (p->model_sha256);
  g_free (p->preprocess_sha256);
  g_free (p->source);
  g_free (p->tool);
  *p = (CalibProvenance){0};
}

static void
free_tensor (gpointer data)
{
  CalibTensor *tensor = data;
  g_free (tensor->name);
  calib_histogram_free (tensor->histogram);
  g_free (tensor);
}

CalibStatistics *
calib_statistics_new (const CalibProvenance *provenance, CalibHistogramFlags flags)
{
  CalibStatistics *s = g_new0 (CalibStatistics, 1);
  if (provenance) {
    s->provenance.model_sha256 = g_strdup (provenance->model_sha256);
    s->provenance.preprocess_sha256 = g_strdup (provenance->preprocess_sha256);
    s->provenance.source = g_strdup (provenance->source);
    s->provenance.tool = g_strdup (provenance->tool);
    s->provenance.frames = provenance->frames;
  }
  s->flags = flags;
  s->tensors = g_ptr_array_new_with_free_func (free_tensor);
  s->index = g_hash_table_new (g_str_hash, g_str_equal);
  s->frames = g_ptr_array_new_with_free_func (g_free);
  return s;
}

void
calib_statistics_free (CalibStatistics *s)
{
  if (!s)
    return;
  calib_provenance_clear (&s->provenance);
  g_hash_table_unref (s->index);
  g_ptr_array_unref (s->tensors);
  g_ptr_array_unref (s->frames);
  g_free (s);
}

CalibHistogram *
calib_statistics_tensor (CalibStatistics *s, const char *name, guint channels)
{
  CalibTensor *tensor = g_hash_table_lookup (s->index, name);
  if (tensor) {
    g_return_val_if_fail (tensor->histogram->channels == channels, NULL);
    return tensor->histogram;
  }
  tensor = g_new (CalibTensor, 1);
  tensor->name = g_strdup (name);
  tensor->histogram = calib_histogram_new (channels, s->flags);
  g_ptr_array_add (s->tensors, tensor);
  g_hash_table_insert (s->index, tensor->name, tensor);
  return tensor->histogram;
}

CalibHistogram *
calib_statistics_tensor_for_trt (CalibStatistics *s, const char *name, guint channels)
{
  g_return_val_if_fail (s->flags & CALIB_HISTOGRAM_TENSORRT, NULL);
  const gboolean is_new = !g_hash_table_contains (s->index, name);
  CalibHistogram *h = calib_statistics_tensor (s, name, channels);
  if (is_new)
    h->only_for_trt = TRUE;
  return h;
}

CalibHistogramFlags
calib_statistics_flags (const CalibStatistics *s)
{
  return s->flags;
}

const CalibHistogram *
calib_statistics_lookup (const CalibStatistics *s, const char *name)
{
  const CalibTensor *tensor = g_hash_table_lookup (s->index, name);
  return tensor ? tensor->histogram : NULL;
}

guint
calib_statistics_n_tensors (const CalibStatistics *s)
{
  return s->tensors->len;
}

const char *
calib_statistics_name (const CalibStatistics *s, guint index)
{
  g_return_val_if_fail (index < s->tensors->len, NULL);
  return ((const CalibTensor *) s->tensors->pdata[index])->name;
}

const CalibProvenance *
calib_statistics_provenance (const CalibStatistics *s)
{
  return &s->provenance;
}

void
calib_statistics_add_frames (CalibStatistics *s, guint64 frames)
{
  s->provenance.frames += frames;
}

/* --- Merging -------------------------------------------------------------------------------- */

static gboolean
check_hash (const char *what, const char *a, const char *b, GError **error)
{
  if (g_strcmp0 (a, b) == 0)
    return TRUE;
  g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
      "statistics of different %s cannot be merged: SHA-256 %s and %s", what, a ? a : "unknown",
      b ? b : "unknown");
  return FALSE;
}

/* What takes part in a merge. */
static const CalibTensor *
find_merged (const CalibStatistics *s, const char *name)
{
  const CalibTensor *tensor = g_hash_table_lookup (s->index, name);
  return tensor && !tensor->histogram->only_for_trt ? tensor : NULL;
}

static gboolean
has_merged (const CalibStatistics *s)
{
  for (guint i = 0; i < s->tensors->len; i++)
    if (!((const CalibTensor *) s->tensors->pdata[i])->histogram->only_for_trt)
      return TRUE;
  return FALSE;
}

static gboolean
check_tensors (const CalibStatistics *s, const CalibStatistics *from, GError **error)
{
  if (!has_merged (s) || !has_merged (from))
    return TRUE;
  for (guint i = 0; i < from->tensors->len; i++) {
    const CalibTensor *other = from->tensors->pdata[i];
    const CalibTensor *tensor = find_merged (s, other->name);
    if (other->histogram->only_for_trt)
      continue;
    if (!tensor || tensor->histogram->channels != other->histogram->channels) {
      g_autofree char *shown = g_utf8_make_valid (other->name, -1);
      if (tensor)
        g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
            "tensor '%s' has %u channels in one and %u in the other: they are not of one network",
            shown, tensor->histogram->channels, other->histogram->channels);
      else
        g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
            "only one of the two has a tensor '%s': they are not of one network", shown);
      return FALSE;
    }
    if (calib_histogram_merge_overflows (tensor->histogram, other->histogram)) {
      g_autofree char *shown = g_utf8_make_valid (other->name, -1);
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
          "tensor '%s' would count more than 2^64 values: a file must be damaged", shown);
      return FALSE;
    }
  }
  for (guint i = 0; i < s->tensors->len; i++) {
    const CalibTensor *tensor = s->tensors->pdata[i];
    if (!tensor->histogram->only_for_trt && !find_merged (from, tensor->name)) {
      g_autofree char *shown = g_utf8_make_valid (tensor->name, -1);
      g_set_error (error, CALIB_ERROR, CALIB_ERROR_MISMATCH,
          "only one of the two has a tensor '%s': they are not of one network", shown);
      return FALSE;
    }
  }
  return TRUE;
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The parts of two ", "-lists, each once and sorted: the same whatever is merged first. */
static void
join (char **text, const char *other)
{
  if (g_strcmp0 (*text, other) == 0)
    return;
  g_autoptr (GPtrArray) parts = g_ptr_array_new ();
  g_auto (GStrv) a = g_strsplit (*text ? *text : "", ", ", -1);
  g_auto (GStrv) b = g_strsplit (other ? other : "", ", ", -1);
  for (char **p = a; *p; p++)
    g_ptr_array_add (parts, *p);
  for (char **p = b; *p; p++)
    g_ptr_array_add (parts, *p);
  g_ptr_array_sort (parts, compare_strings);

  GString *joined = g_string_new (NULL);
  const char *last = "";
  for (guint i = 0; i < parts->len; i++) {
    const char *part = parts->pdata[i];
    if (g_str_equal (part, last))
      continue;
    g_string_append_printf (joined, "%s%s", joined->len ? ", " : "", part);
    last = part;
  }
  g_free (*text);
  *text = g_string_free (joined, FALSE);
}

static void
drop_trt (CalibStatistics *s)
{
  s->flags &= ~CALIB_HISTOGRAM_TENSORRT;
  for (guint i = 0; i < s->tensors->len; i++) {
    const CalibTensor *tensor = s->tensors->pdata[i];
    if (!tensor->histogram->only_for_trt) {
      calib_histogram_drop_trt (tensor->histogram);
      continue;
    }
    g_hash_table_remove (s->index, tensor->name);
    g_ptr_array_remove_index (s->tensors, i--);
  }
}

gboolean
calib_statistics_merge (CalibStatistics *s, const CalibStatistics *from, GError **error)
{
  const CalibProvenance *a = &s->provenance, *b = &from->provenance;

  if (!check_hash ("models", a->model_sha256, b->model_sha256, error) ||
      !check_hash ("preprocessing", a->preprocess_sha256, b->preprocess_sha256, error) ||
      !check_tensors (s, from, error))
    return FALSE;
  if (b->frames > G_MAXUINT64 - a->frames) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_FORMAT,
        "the statistics together count more than 2^64 frames: a file must be damaged");
    return FALSE;
  }

  drop_trt (s);
  for (guint i = 0; i < from->tensors->len; i++) {
    const CalibTensor *other = from->tensors->pdata[i];
    if (other->histogram->only_for_trt)
      continue;
    CalibHistogram *h = calib_statistics_tensor (s, other->name, other->histogram->channels);
    if (!calib_histogram_merge (h, other->histogram, error))
      return FALSE; /* not reached: everything was checked above */
  }
  calib_statistics_merge_frames (s, from);
  s->provenance.frames += b->frames;
  join (&s->provenance.source, b->source);
  join (&s->provenance.tool, b->tool);
  return TRUE;
}
