/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare-print.c: a comparison as text: the network, the layers by damage, what to do. */
#include "tools/compare.h"

#include <math.h>

#define WIDEST_NAME 44

/* In nats: what is not 0 does not look like it. */
static char *
divergence (double x)
{
  return g_strdup_printf (x > 0 && x < 1e-4 ? "%.1e" : "%.6f", x);
}

static void
print_network (const CompareCandidate *candidate)
{
  EngineAgreementScore s;

  engine_comparison_score (candidate->comparison, &s);
  g_print ("frames      %" G_GUINT64_FORMAT "\n", s.frames);
  g_print ("agreement   top-1 %.2f %%, top-5 %.2f %%\n", 100 * s.top1, 100 * s.top5);
  g_print ("logits      SQNR %.2f dB\n", s.sqnr);
  g_autofree char *mean = divergence (s.kl_mean), *p99 = divergence (s.kl_p99);
  g_print ("divergence  mean %s, 99th percentile %s nats\n", mean, p99);
}

void
compare_print_networks (const Compare *compare)
{
  const CompareCandidate *best = compare_best (compare);

  if (compare->candidates->len == 1) {
    print_network (best);
    return;
  }
  g_print ("%-24s %8s %8s %9s %10s %10s\n", "calibration", "top-1 %", "top-5 %", "SQNR dB",
      "mean KL", "KL p99");
  for (guint i = 0; i < compare->candidates->len; i++) {
    const CompareCandidate *candidate = g_ptr_array_index (compare->candidates, i);
    EngineAgreementScore s;

    engine_comparison_score (candidate->comparison, &s);
    g_autofree char *mean = divergence (s.kl_mean), *p99 = divergence (s.kl_p99);
    g_print ("%-24s %8.2f %8.2f %9.2f %10s %10s%s\n", candidate->label, 100 * s.top1, 100 * s.top5,
        s.sqnr, mean, p99, candidate == best ? "  least divergence" : "");
  }
}

/* A name cut in its middle: beginning and end tell the most. */
static char *
shorten (const char *name, int width)
{
  const glong length = g_utf8_validate (name, -1, NULL) ? g_utf8_strlen (name, -1) : -1;

  if (length < 0)
    return g_utf8_make_valid (name, -1);
  if (length <= width)
    return g_strdup (name);
  const int head = width / 3, tail = width - head - 3;
  g_autofree char *begin = g_utf8_substring (name, 0, head);
  g_autofree char *end = g_utf8_substring (name, length - tail, length);
  return g_strconcat (begin, "...", end, NULL);
}

/* "-" for what was not measured. */
static char *
decibels (double x)
{
  return isnan (x) ? g_strdup ("-") : g_strdup_printf ("%.2f", x);
}

static void
print_suspect (const EngineComparison *comparison, guint rank, const EngineSuspect *suspect)
{
  EngineTensorScore t;

  engine_comparison_tensor (comparison, suspect->tensor, &t);
  g_autofree char *name = shorten (t.name, WIDEST_NAME), *cumulative = decibels (t.sqnr);
  g_autofree char *alone = decibels (t.alone), *logits = decibels (t.alone_logits);
  const int pad = WIDEST_NAME - (int) g_utf8_strlen (name, -1);
  g_print ("%4u  %s%*s %-8s %7s %7s %7s %8.5f ", rank, name, MAX (pad, 0), "", t.op, cumulative,
      alone, logits, t.cosine);
  if (t.int8)
    g_print ("%9.2e %6u %4u", t.saturated, t.levels, t.dead);
  else /* float values, of a layer that computes in int8 */
    g_print ("%9s %6s %4s", "-", "-", "-");
  g_print ("  %s\n", suspect->why);
}

/* How many of the first make half of the damage. */
static guint
count_worst (const GPtrArray *suspects)
{
  double all = 0, sum = 0;
  guint n = 0;

  for (guint i = 0; i < suspects->len; i++)
    all += ((EngineSuspect *) g_ptr_array_index (suspects, i))->damage;
  while (n < suspects->len && sum < all / 2)
    sum += ((EngineSuspect *) g_ptr_array_index (suspects, n++))->damage;
  return n;
}

/* A model that is quantised already takes no ranges by hand. */
static void
print_overrides (const GPtrArray *suspects, gboolean with_ranges)
{
  const guint n = count_worst (suspects);
  g_autoptr (GString) rules = g_string_new (NULL);
  g_autoptr (GString) ranges = g_string_new (NULL);

  for (guint i = 0; i < n; i++) {
    const EngineSuspect *suspect = g_ptr_array_index (suspects, i);

    g_string_append_printf (rules, "%s%s", i ? "," : "", suspect->precision);
    if (suspect->range)
      g_string_append_printf (ranges, "%s\n", suspect->range);
  }
  g_autofree char *quoted = g_shell_quote (rules->str);
  g_print ("\nhalf of the damage comes from %u of %u layers; to give them back to float:\n"
           "--layer-precision %s\n",
      n, suspects->len, quoted);
  if (ranges->len && with_ranges)
    g_print ("\nranges that would clip nothing, as a file for --dynamic-ranges:\n%s", ranges->str);
}

void
compare_print_layers (const CompareCandidate *candidate, guint top)
{
  g_autoptr (GPtrArray) suspects = engine_comparison_suspects (candidate->comparison);
  const guint n = top > 0 ? MIN (top, suspects->len) : suspects->len;

  if (suspects->len == 0) {
    g_print ("\nno layer does any damage\n");
    return;
  }
  g_print ("\nlayers by damage, %u of %u; SQNR in dB: of the tensor in the INT8 network, with this "
           "layer alone\nin INT8, and of the logits then (-: not run, or float)\n",
      n, suspects->len);
  g_print ("%4s  %-*s %-8s %7s %7s %7s %8s %9s %6s %4s  %s\n", "rank", WIDEST_NAME, "tensor", "op",
      "SQNR", "alone", "logits", "cosine", "saturated", "levels", "dead", "why");
  for (guint i = 0; i < n; i++)
    print_suspect (candidate->comparison, i + 1, g_ptr_array_index (suspects, i));
  print_overrides (suspects, candidate->table != NULL);
}
