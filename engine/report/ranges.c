/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report/ranges.c: what every method would do with every tensor: threshold, range, clipped share, and
 * the SQNR of rounding. All of it comes from the histograms; a bin (a thirtieth of a level or less)
 * counts as its middle.
 */
#include "engine/model.h"
#include "engine/quant.h"
#include "engine/ranges.h"
#include "engine/report/private.h"

/* --- One range ------------------------------------------------------------------------------ */

typedef struct {
  double signal, noise;
  guint64 clipped;
} Rounding;

static void
round_half (Rounding *sum, const EngineReportTensor *tensor, const EngineReportRange *range,
    const EngineQuant *quant, gboolean negative)
{
  const guint64 *bins = calib_histogram_bins (tensor->histogram, negative);
  const double width = ldexp (1, tensor->summary.exponent);

  for (int j = 0; j < CALIB_BINS; j++) {
    if (bins[j] == 0)
      continue;
    const double middle = (negative ? -(j + 0.5) : j + 0.5) * width;
    const double x = CLAMP (middle, tensor->lowest, tensor->highest);
    const double e = x - engine_quant_real (quant, engine_quant_level (quant, x));

    sum->signal += (double) bins[j] * x * x;
    sum->noise += (double) bins[j] * e * e;
    if (x < range->lo - quant->scale / 2 || x > range->hi + quant->scale / 2)
      sum->clipped += bins[j];
  }
}

/* Takes the range's label. */
static void
add_range (EngineReportTensor *tensor, EngineReportRange range, const EngineQuant *quant)
{
  const guint64 n = tensor->summary.n - tensor->summary.n_nonfinite;
  Rounding sum = {0};

  round_half (&sum, tensor, &range, quant, FALSE);
  round_half (&sum, tensor, &range, quant, TRUE);
  range.clipped = n > 0 ? (double) sum.clipped / (double) n : 0;
  range.sqnr = engine_sqnr (sum.signal, sum.noise);
  g_array_append_val (tensor->ranges, range);
}

/* The range that the engine's builder makes of a threshold. Takes the label. */
static void
add_threshold (EngineReportTensor *tensor, char *label, double threshold, EngineRanges ranges,
    gboolean in_use)
{
  const gboolean symmetric = ranges == ENGINE_RANGES_SYMMETRIC;
  const EngineReportRange range = {.label = label,
      .threshold = threshold,
      .lo = symmetric ? -threshold : CLAMP (tensor->lowest, -threshold, 0),
      .hi = symmetric ? threshold : CLAMP (tensor->highest, 0, threshold),
      .in_use = in_use};
  const EngineQuant quant = engine_quant_covering (range.lo, range.hi);

  add_range (tensor, range, &quant);
}

/* The range that the engine has, which may come from the preprocessing or from a tensor that shares
 * it; else that of the table's entry. */
static void
add_range_in_use (EngineReportTensor *tensor, const EngineReport *report)
{
  const guint n = report->comparison ? engine_comparison_n_tensors (report->comparison) : 0;
  EngineTensorScore score;
  float scale;

  for (guint i = 0; i < n; i++) {
    engine_comparison_tensor (report->comparison, i, &score);
    if (!g_str_equal (score.name, tensor->name) || !score.int8)
      continue;
    const EngineQuant quant = {.scale = score.scale, .zero = score.zero};
    const double lo = engine_quant_real (&quant, -128), hi = engine_quant_real (&quant, 127);
    add_range (tensor,
        (EngineReportRange){g_strdup ("in use"), fmax (-lo, hi), lo, hi, .in_use = TRUE}, &quant);
    return;
  }
  if (report->table && calib_table_lookup (report->table, tensor->name, &scale) && scale > 0)
    add_threshold (tensor, g_strdup ("in use"), scale * 127.0, report->ranges, TRUE);
}

/* --- One tensor ----------------------------------------------------------------------------- */

static void
add_method (EngineReportTensor *tensor, CalibMethod method, double percentile, EngineRanges ranges)
{
  const CalibThresholdOptions options = {.method = method,
      .percentile = percentile,
      .range = CALIB_RANGE_WITHIN,
      .lo = tensor->lowest,
      .hi = tensor->highest};
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  CalibThreshold threshold;
  char *label;

  /* What the statistics do not allow is left out of the page. */
  if (!calib_threshold (tensor->histogram, &options, &threshold, NULL))
    return;
  label = method == CALIB_METHOD_PERCENTILE
              ? g_strdup_printf ("percentile %s",
                    g_ascii_formatd (text, sizeof text, "%.7g", percentile))
              : g_strdup (calib_method_name (method));
  add_threshold (tensor, label, threshold.threshold, ranges, FALSE);
}

static void
add_methods (EngineReportTensor *tensor, EngineRanges ranges)
{
  static const double percentiles[] = {99.9, 99.99, 99.999};

  for (int m = 0; m < CALIB_METHOD_COUNT; m++)
    if (m != CALIB_METHOD_PERCENTILE)
      add_method (tensor, m, 0, ranges);
  for (guint i = 0; i < G_N_ELEMENTS (percentiles); i++)
    add_method (tensor, CALIB_METHOD_PERCENTILE, percentiles[i], ranges);
}

static void
tensor_free (gpointer data)
{
  EngineReportTensor *tensor = data;

  g_array_unref (tensor->ranges);
  g_free (tensor);
}

static void
range_clear (gpointer data)
{
  g_free (((EngineReportRange *) data)->label);
}

/* With the range in use only; NULL where there is no histogram. */
static EngineReportTensor *
tensor_new (const EngineReport *report, int value)
{
  const EngineGraph *graph = report->model->graph;
  const char *name = engine_graph_value (graph, value)->name;
  const CalibHistogram *histogram = calib_statistics_lookup (report->statistics, name);
  EngineReportTensor *tensor;

  if (!histogram)
    return NULL;
  tensor = g_new0 (EngineReportTensor, 1);
  tensor->name = name;
  tensor->histogram = histogram;
  calib_histogram_summary (histogram, &tensor->summary);
  engine_graph_useful (graph, value, &tensor->lowest, &tensor->highest);
  tensor->ranges = g_array_new (FALSE, FALSE, sizeof (EngineReportRange));
  g_array_set_clear_func (tensor->ranges, range_clear);
  add_range_in_use (tensor, report);
  return tensor;
}

/* --- All of them, on all CPUs --------------------------------------------------------------- */

typedef struct {
  EngineRanges ranges;
  GCancellable *cancellable;
  GAsyncQueue *done; /* EngineReportTensor */
} Work;

static void
work (gpointer data, gpointer user_data)
{
  EngineReportTensor *tensor = data;
  const Work *all = user_data;

  if (!g_cancellable_is_cancelled (all->cancellable))
    add_methods (tensor, all->ranges);
  g_async_queue_push (all->done, tensor);
}

static void
add_tensor (GPtrArray *tensors, const EngineReport *report, int value)
{
  EngineReportTensor *tensor = tensor_new (report, value);

  if (tensor)
    g_ptr_array_add (tensors, tensor);
}

GPtrArray *
engine_report_tensors (const EngineReport *report, EngineProgressFn progress, gpointer data,
    GCancellable *cancellable, GError **error)
{
  const EngineGraph *graph = report->model->graph;
  g_autoptr (GPtrArray) tensors = g_ptr_array_new_with_free_func (tensor_free);
  g_autoptr (GAsyncQueue) done = g_async_queue_new ();
  Work all = {report->ranges, cancellable, done};
  GThreadPool *pool = g_thread_pool_new (work, &all, (int) g_get_num_processors (), TRUE, error);

  if (!pool)
    return NULL;
  add_tensor (tensors, report, g_array_index (graph->inputs, int, 0));
  for (guint i = 0; i < graph->nodes->len; i++)
    add_tensor (tensors, report, engine_graph_node (graph, i)->output);
  for (guint i = 0; i < tensors->len; i++)
    g_thread_pool_push (pool, g_ptr_array_index (tensors, i), NULL);
  for (guint i = 0; i < tensors->len; i++) {
    const EngineReportTensor *tensor = g_async_queue_pop (done);

    if (progress)
      progress (i + 1, tensors->len, tensor->name, data);
  }
  g_thread_pool_free (pool, FALSE, TRUE);
  return g_cancellable_set_error_if_cancelled (cancellable, error) ? NULL
                                                                   : g_steal_pointer (&tensors);
}
