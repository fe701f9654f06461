/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bench-layers.c: the time of every layer, as a table. */
#include "tools/bench.h"

#include <string.h>

/* --- Measuring ------------------------------------------------------------------------------ */

static gboolean
is_convolution (const EngineStepInfo *info)
{
  return info->groups > 0;
}

static char *
op_of (const EngineStepInfo *info)
{
  const gboolean depthwise = info->groups > 1 && info->groups == info->x[2];

  if (!is_convolution (info))
    return g_strdup (info->kernel);
  if (info->y[0] == 1 && info->y[1] == 1 && info->x[0] == info->kh && info->x[1] == info->kw)
    return g_strdup_printf ("%s fully connected", info->kernel);
  return g_strdup_printf ("%s %s%dx%d", info->kernel,
      depthwise          ? "depthwise "
      : info->groups > 1 ? "grouped "
                         : "",
      info->kh, info->kw);
}

static GArray *
layers_of (const EngineExec *exec)
{
  GArray *layers = g_array_new (FALSE, FALSE, sizeof (BenchLayer));

  for (guint i = 0; i < engine_exec_n_steps (exec); i++) {
    BenchLayer layer = {.times = g_array_new (FALSE, FALSE, sizeof (double))};

    engine_exec_step (exec, i, &layer.info);
    layer.op = op_of (&layer.info);
    g_array_append_val (layers, layer);
  }
  return layers;
}

void
bench_layers_free (GArray *layers)
{
  for (guint i = 0; layers && i < layers->len; i++) {
    BenchLayer *layer = &g_array_index (layers, BenchLayer, i);

    g_free (layer->op);
    g_array_unref (layer->times);
  }
  g_clear_pointer (&layers, g_array_unref);
}

static void
note (guint step, double seconds, gpointer data)
{
  g_array_append_val (g_array_index ((GArray *) data, BenchLayer, step).times, seconds);
}

gboolean
bench_profile (Bench *bench, double seconds, GError **error)
{
  const gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);
  gboolean ok;

  bench->layers = layers_of (bench->exec);
  engine_exec_set_profile (bench->exec, note, bench->layers);
  do
    ok = engine_exec_run (bench->exec, bench->batch, error);
  while (ok && g_get_monotonic_time () < end);
  engine_exec_set_profile (bench->exec, NULL, NULL);
  for (guint i = 0; ok && i < bench->layers->len; i++) {
    BenchLayer *layer = &g_array_index (bench->layers, BenchLayer, i);

    bench_sort (layer->times);
    layer->seconds = bench_median (layer->times);
  }
  return ok;
}

double
bench_layer_peak (const Bench *bench, const BenchLayer *layer)
{
  if (!is_convolution (&layer->info))
    return 0;
  return bench->peak[g_str_equal (layer->info.kernel, "conv_f32")   ? PEAK_FP32
                     : g_str_equal (layer->info.kernel, "conv_f16") ? PEAK_FP16
                                                                    : PEAK_INT8];
}

static double
bytes_of (const Bench *bench, const BenchLayer *layer)
{
  return layer->info.image_bytes * bench->batch + layer->info.constant_bytes;
}

double
bench_layer_roof (const Bench *bench, const BenchLayer *layer)
{
  const double peak = bench_layer_peak (bench, layer);
  const double computing = peak > 0 ? layer->info.operations * bench->batch / peak : 0;

  return bench->bandwidth > 0 ? MAX (computing, bytes_of (bench, layer) / bench->bandwidth) : 0;
}

/* --- Printing ------------------------------------------------------------------------------- */

#define NAME_WIDTH 36

/* The end of a name tells more than its beginning. */
static void
print_name (const char *name, int width)
{
  const gsize length = strlen (name);

  if (length <= (gsize) width)
    g_print ("%-*s", width, name);
  else
    g_print ("...%s", name + length - (gsize) (width - 3));
}

static char *
shape_of (const EngineStepInfo *info)
{
  GString *text = g_string_new (NULL);

  g_string_printf (text, "%dx%dx%d -> %dx%dx%d", info->x[0], info->x[1], info->x[2], info->y[0],
      info->y[1], info->y[2]);
  if (info->kh > 0)
    g_string_append_printf (text, " k%dx%d s%d", info->kh, info->kw, info->stride);
  if (info->groups > 1)
    g_string_append_printf (text, " g%d", info->groups);
  return g_string_free (text, FALSE);
}

/* Sums over layers: seconds, operations, what could have been computed in the time, bytes, the
 * seconds that the roofline allows. */
typedef struct {
  const char *op;
  int layers;
  double seconds, operations, at_peak, bytes, roof;
} Total;

static void
add_layer (const Bench *bench, const BenchLayer *layer, Total *total)
{
  total->layers++;
  total->seconds += layer->seconds;
  total->operations += layer->info.operations * bench->batch;
  total->at_peak += bench_layer_peak (bench, layer) * layer->seconds;
  total->bytes += bytes_of (bench, layer);
  total->roof += bench_layer_roof (bench, layer);
}

static void
print_numbers (const Total *total, double all)
{
  g_print (" %9.1f %5.1f %%", 1e6 * total->seconds, 100 * total->seconds / all);
  if (total->operations > 0)
    g_print (" %8.1f", 1e-9 * total->operations / total->seconds);
  else
    g_print (" %8s", "-");
  if (total->operations > 0 && total->at_peak > 0)
    g_print (" %5.1f %%", 100 * total->operations / total->at_peak);
  else
    g_print (" %7s", "-");
  g_print (" %8.3f %7.1f", 1e-6 * total->bytes, 1e-9 * total->bytes / total->seconds);
  if (total->roof > 0)
    g_print (" %5.1f %%\n", 100 * total->roof / total->seconds);
  else
    g_print (" %7s\n", "-");
}

static int
slower_first (gconstpointer a, gconstpointer b)
{
  const double x = (*(const BenchLayer *const *) a)->seconds;
  const double y = (*(const BenchLayer *const *) b)->seconds;

  return (x < y) - (x > y);
}

static int
slower_total_first (gconstpointer a, gconstpointer b)
{
  const double x = ((const Total *) a)->seconds, y = ((const Total *) b)->seconds;

  return (x < y) - (x > y);
}

static void
print_table (const Bench *bench, GPtrArray *layers, double all)
{
  int op_width = 2, shape_width = 5, tactic_width = 6;

  for (guint i = 0; i < layers->len; i++) {
    const BenchLayer *layer = g_ptr_array_index (layers, i);
    g_autofree char *shape = shape_of (&layer->info);

    op_width = MAX (op_width, (int) strlen (layer->op));
    shape_width = MAX (shape_width, (int) strlen (shape));
    tactic_width = MAX (tactic_width, layer->info.tactic ? (int) strlen (layer->info.tactic) : 0);
  }
  g_print ("%-*s %-*s %-*s %-*s %9s %7s %8s %7s %8s %7s %7s\n", NAME_WIDTH, "layer", op_width, "op",
      shape_width, "shape (h w c)", tactic_width, "tactic", "us", "share", "GOP/s", "of peak",
      "MB", "GB/s", "of roof");
  for (guint i = 0; i < layers->len; i++) {
    const BenchLayer *layer = g_ptr_array_index (layers, i);
    g_autofree char *shape = shape_of (&layer->info);
    Total one = {0};

    add_layer (bench, layer, &one);
    print_name (layer->info.name, NAME_WIDTH);
    g_print (" %-*s %-*s %-*s", op_width, layer->op, shape_width, shape, tactic_width,
        layer->info.tactic ? layer->info.tactic : "-");
    print_numbers (&one, all);
  }
}

static void
print_totals (const Bench *bench, double all)
{
  g_autoptr (GArray) totals = g_array_new (FALSE, TRUE, sizeof (Total));
  Total sum = {.op = "all"};

  for (guint i = 0; i < bench->layers->len; i++) {
    const BenchLayer *layer = &g_array_index (bench->layers, BenchLayer, i);
    guint k = 0;

    while (k < totals->len && !g_str_equal (g_array_index (totals, Total, k).op, layer->op))
      k++;
    if (k == totals->len) {
      g_array_set_size (totals, k + 1);
      g_array_index (totals, Total, k).op = layer->op;
    }
    add_layer (bench, layer, &g_array_index (totals, Total, k));
    add_layer (bench, layer, &sum);
  }
  g_array_sort (totals, slower_total_first);
  g_array_append_val (totals, sum);
  g_print ("\n%-30s %6s %9s %7s %8s %7s %8s %7s %7s\n", "op", "layers", "us", "share", "GOP/s",
      "of peak", "MB", "GB/s", "of roof");
  for (guint k = 0; k < totals->len; k++) {
    const Total *total = &g_array_index (totals, Total, k);

    g_print ("%-30s %6d", total->op, total->layers);
    print_numbers (total, all);
  }
}

static void
print_peak (const Bench *bench)
{
  static const char *const names[] = {"int8", "fp16", "fp32"};
  const char *const of_device[] = {bench->limits.int8_instruction, bench->limits.fp16_instruction,
      bench->limits.fp32_instruction};

  if (bench->backend->host_memory)
    g_print ("\npeak of %d thread%s:", bench->threads, bench->threads == 1 ? "" : "s");
  else
    g_print ("\npeak of %s:", bench->backend->name);
  for (int k = 0; k < PEAK_COUNT; k++)
    if (bench->peak[k] > 0)
      g_print ("%s %s %.1f GOP/s (%s)", k ? "," : "", names[k], 1e-9 * bench->peak[k],
          bench->backend->host_memory ? peak_instruction (k) : of_device[k]);
    else if (k != PEAK_FP16 || !bench->backend->host_memory)
      g_print ("%s %s not known here", k ? "," : "", names[k]);
  if (bench->bandwidth > 0)
    g_print (", memory %.1f GB/s (copying)", 1e-9 * bench->bandwidth);
  g_print ("\nGOP/s: multiplications and additions. MB: activations and constants, each read or "
           "written once.\n");
  if (bench->bandwidth > 0)
    g_print ("of roof: the time that the peak or the memory would need at the least, as a share of "
             "the time taken.\n");
}

void
bench_print_layers (const Bench *bench, gboolean by_time)
{
  g_autoptr (GPtrArray) layers = g_ptr_array_new ();
  double all = 0;

  for (guint i = 0; i < bench->layers->len; i++) {
    g_ptr_array_add (layers, &g_array_index (bench->layers, BenchLayer, i));
    all += g_array_index (bench->layers, BenchLayer, i).seconds;
  }
  if (by_time)
    g_ptr_array_sort (layers, slower_first);
  g_print (
      "layers      %.3f ms, one after the other%s; whole runs %.3f ms (medians)\n\n", 1e3 * all,
      bench->backend->marks ? ", by the device's clock" : " and waited for",
      1e3 * bench_median (bench->times));
  print_table (bench, layers, all);
  print_totals (bench, all);
  print_peak (bench);
}
