/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * private.h: what the files of calib/ and its tests share. No other room includes it.
 */
#pragma once

#include "calib/bytes.h"
#include "calib/calib.h"

#include <string.h>

G_BEGIN_DECLS

/* The loops over values, once more for wider vectors; the loader of the C library picks. Whole
 * numbers and powers of two, or sums whose order is written out (-ffp-contract=off), so every clone gives the
 * same bits. None under ThreadSanitizer, which is not there yet when the loader picks. */
#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__) &&          \
    !defined(__SANITIZE_THREAD__)
#define CALIB_CLONES __attribute__ ((target_clones ("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CALIB_CLONES
#endif

/* --- Histogram: histogram.c ----------------------------------------------------------------- */

/* A channel's sum in units of 2^-40. A value contributes less than 2^61 units and there are fewer
 * than 2^64 values, so 126 bits suffice. */
__extension__ typedef __int128 CalibSum;
#define CALIB_SUM_UNIT 0x1p-40
/* From here on values are clamped in the sums, and the channel's mean is unknown (NAN). */
#define CALIB_SUM_LIMIT 0x1p21f

/* Smallest bin width 2^-126: its inverse is a float32, and so is every product with it. */
#define CALIB_MIN_EXPONENT (-126)

/* Zeros are counted in several cells in turn: a processor waits when it increments one address over
 * and over, and behind a ReLU half the values are zeros. */
#define CALIB_ZERO_CELLS 8
/* Values handled at a time: they and their bin numbers stay in the first-level cache. */
#define CALIB_BLOCK 1024

/* The bits of a float, and back. Those of positive floats are in the order of the floats, infinity and
 * NaN last, and loops over integers vectorise where NaNs forbid it to floats. */
#define CALIB_INF 0x7f800000u

static inline guint32
calib_bits (float x)
{
  guint32 bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline float
calib_float (guint32 bits)
{
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

typedef struct _CalibTrtHistogram CalibTrtHistogram;

struct _CalibHistogram {
  guint64 n, n_zero, n_nonfinite;
  float min, max; /* of the finite values, -0 as +0; both 0 while there is none */
  int exponent;
  guint channels;
  /* The sums, [channels]: high * 2^62 + low. Values go to `low` alone, a single addition; it is
   * carried to `high` when the bound of all |low| says that it might overflow. */
  gint64 *high, *low;
  gint64 low_bound;
  guint64 *channel_nonfinite; /* [channels]; NULL while n_nonfinite == 0 */
  CalibTrtHistogram *trt;     /* NULL unless collected */
  gboolean only_for_trt;      /* calib_statistics_tensor_for_trt() */
  /* the positive half, the negative half, and cells of calib_histogram_add() that are 0 outside it
   */
  guint64 bins[2 * CALIB_BINS + CALIB_ZERO_CELLS];
};

static inline guint64
calib_histogram_n_finite (const CalibHistogram *h)
{
  return h->n - h->n_nonfinite;
}

static inline guint64
calib_histogram_n_binned (const CalibHistogram *h)
{
  return h->n - h->n_nonfinite - h->n_zero;
}

static inline float
calib_histogram_max_abs (const CalibHistogram *h)
{
  return MAX (-h->min, h->max);
}

static inline CalibSum
calib_histogram_sum (const CalibHistogram *h, guint channel)
{
  return h->high[channel] * ((CalibSum) 1 << 62) + h->low[channel];
}

/* The exponent of a histogram whose largest magnitude is `max_abs`, which is finite and > 0. */
int calib_histogram_exponent_for (float max_abs);
/* Bytes allocated for this histogram. */
gsize calib_histogram_memory (const CalibHistogram *histogram);
/* TRUE if merging would overflow a count. */
gboolean calib_histogram_merge_overflows (const CalibHistogram *histogram,
    const CalibHistogram *from);
void calib_histogram_drop_trt (CalibHistogram *histogram);
/* As new, in the same memory. */
void calib_histogram_clear (CalibHistogram *histogram);
/* Makes room for magnitudes up to max_abs > 0: bins are folded until they are wide enough. */
void calib_histogram_grow (CalibHistogram *histogram, float max_abs);

/* --- Values into a histogram: histogram-add.c, add-avx512.c ---------------------------------- */

/* Of a block, as integers in the order of the floats: the bits, all but the sign inverted where it is set. */
typedef struct {
  gint32 min, max;
} CalibExtrema;

#if defined(__x86_64__) && defined(__GNUC__)
#define CALIB_HAVE_AVX512
gboolean calib_has_avx512 (void);
/* The bins of n values that are not zero, those of the negative half CALIB_BINS further on; returns how many
 * they are. n is a multiple of CALIB_LOCATE_STEP and at most CALIB_BLOCK; CALIB_LOCATE_SLACK entries behind
 * the last are overwritten. Where a value is not finite or |x| * to_bin is no bin, `at` is good for nothing.
 * So many values at `next`, which are read later, are fetched; and the bins `counted` of an earlier block are
 * counted meanwhile. */
#define CALIB_LOCATE_STEP  32
#define CALIB_LOCATE_SLACK 16
guint calib_locate_avx512 (const float *x, guint n, float to_bin, const float *next, guint16 *at,
    CalibExtrema *extrema, guint64 *bins, const guint16 *counted, guint n_counted);
/* Adds n finite values of |x| < CALIB_SUM_LIMIT, the first of them being of `channel`. */
void calib_sums_avx512 (gint64 *sums, guint channels, const float *x, guint n, guint channel);
#else
#define CALIB_LOCATE_SLACK 0
#endif
/* Whether this process is to use what only some CPUs have: it does, but for tests. */
void calib_set_portable (gboolean portable);
gboolean calib_is_portable (void);

/* --- Channel sums: channel-sums.c ----------------------------------------------------------- */

void calib_histogram_set_sum (CalibHistogram *histogram, guint channel, CalibSum sum);
/* Adds n <= CALIB_BLOCK values, the first of them being of `channel`. max_abs is that of these
 * values, or infinite if one of them is not finite. */
void calib_sums_add (CalibHistogram *histogram, const float *x, guint n, guint channel,
    float max_abs);

/* --- TensorRT's histogram: histogram-trt.c -------------------------------------------------- */

#define CALIB_TRT_BINS 2048

/* bin = trunc (|x| * (2048 / range)) in float32; range is the first batch's maximum, doubled as
 * often as needed. A double because the doubling may leave float32. */
struct _CalibTrtHistogram {
  double range;
  guint64 bins[CALIB_TRT_BINS];
};

void calib_trt_add (CalibTrtHistogram *trt, const float *x, gsize n);

/* --- Thresholds: entropy.c, mse.c ----------------------------------------------------------- */

/* The state in 2048 equal bins over [0, max |x|]; at least one value is not zero. */
void calib_entropy_rebin (const CalibHistogram *histogram, double bins[CALIB_TRT_BINS]);
/* m of docs/CALIBRATION.md, 128..2048, and its divergence. bins[0] is overwritten. */
guint calib_entropy_search (double bins[CALIB_TRT_BINS], double *divergence);
/* T with the least mean squared error on the part of [-T, T] within [lo, hi], `relative` as in
 * mse-relative; at least one value is not zero. */
float calib_mse_search (const CalibHistogram *histogram, double lo, double hi, gboolean relative,
    double *mse);

/* --- One histogram in a file: histogram-bytes.c --------------------------------------------- */

void calib_histogram_write (const CalibHistogram *histogram, GByteArray *out);
/* NULL when the bytes cannot be a histogram. TensorRT's own is refused where flags lack it. */
CalibHistogram *calib_histogram_read (CalibReader *reader, CalibHistogramFlags flags);

/* --- Files: file.c, statistics-file.c ------------------------------------------------------- */

/* The shortest text that is read as this finite number again; returns the buffer. */
#define CALIB_NUMBER_SIZE G_ASCII_DTOSTR_BUF_SIZE
const char *calib_format_number (char buffer[CALIB_NUMBER_SIZE], double x);

/* Sets CALIB_ERROR_FORMAT: "name, line N: ..." with the name as file names are shown; returns FALSE.
 * line 0: none. */
gboolean calib_format_fail (GError **error, const char *name, guint line, const char *format, ...)
    G_GNUC_PRINTF (4, 5);
/* Why text must not go to json-glib's parser, or NULL. It recurses, so arrays and objects must not nest
 * deep; it knows comments and other quotes, which would hide how deep they nest. */
const char *calib_json_problem (const char *text, gsize size);
#define CALIB_PROVENANCE_FORMAT "gst-int8 calibration provenance"

/* The contents of a provenance file, to and from memory; `path` is named in errors. At most G_MAXINT64
 * frames. On an error nothing is left to be freed. */
char *calib_provenance_to_text (const CalibProvenance *provenance, const char *method);
gboolean calib_provenance_parse (const char *text, gsize size, const char *path,
    CalibProvenance *provenance, GError **error);

/* A file of lines, without their ends, blanks at both ends and a byte order mark. *text may be
 * written to; it is not empty. */
typedef gboolean (*CalibLineFn) (char *text, guint line, gpointer data, GError **error);
gboolean calib_format_lines (const char *text, gsize size, const char *name, CalibLineFn each,
    gpointer data, GError **error);
/* Takes blanks, tabs and carriage returns off the end: those that lines are freed of. */
void calib_format_chomp (char *text);
/* A finite number, and nothing else, of decimal digits. */
gboolean calib_format_read_number (const char *text, double *number);
/* Sets the range, or fails if the tensor had another one further up. */
gboolean calib_format_add (CalibDynamicRanges *ranges, const char *tensor, double lo, double hi,
    const char *name, guint line, GError **error);

CalibDynamicRanges *calib_ort_json_parse (const char *text, gsize size, const char *name,
    char **note, GError **error);
char *calib_ort_json_to_string (const CalibDynamicRanges *ranges);
CalibDynamicRanges *calib_ort_cache_parse (const char *text, gsize size, const char *name,
    GError **error);
CalibDynamicRanges *calib_ort_flatbuffers_parse (const char *data, gsize size, const char *name,
    GError **error);
char *calib_ort_flatbuffers_write (const CalibDynamicRanges *ranges, gsize *size);
CalibDynamicRanges *calib_ncnn_parse (const char *text, gsize size, const char *name, char **note,
    GError **error);

/* The contents of an .int8stats file, to and from memory. */
GBytes *calib_statistics_to_bytes (const CalibStatistics *statistics, GError **error);
CalibStatistics *calib_statistics_parse (const void *data, gsize size, const char *name,
    GError **error);

#define CALIB_STATISTICS_MAX_TENSORS 8192

typedef struct _CalibFrame CalibFrame;

struct _CalibStatistics {
  CalibProvenance provenance;
  CalibHistogramFlags flags;
  guint keep;         /* how many frames are kept, at most; 0: none, and none are in the file */
  gboolean in_memory; /* nor are they in the file otherwise */
  GPtrArray *frames;  /* of CalibFrame, at most `keep`, in the order of their hashes */
  GPtrArray *tensors; /* of CalibTensor, in the order in which they were made */
  GHashTable *index;  /* name, owned by the tensor -> CalibTensor */
};

typedef struct {
  char *name;
  CalibHistogram *histogram;
} CalibTensor;

/* --- Kept frames: kept-frames.c ------------------------------------------------------------- */

#define CALIB_DIGEST   32 /* bytes of a SHA-256 */
#define CALIB_MAX_KEPT 65536

void calib_statistics_merge_frames (CalibStatistics *statistics, const CalibStatistics *from);
/* A section of the .int8stats file; its size to within a few bytes a frame. */
void calib_statistics_write_frames (const CalibStatistics *statistics, GByteArray *out);
gsize calib_statistics_frames_size (const CalibStatistics *statistics);
/* FALSE when the bytes cannot be kept frames; some may have been added then. */
gboolean calib_statistics_read_frames (CalibReader *reader, CalibStatistics *statistics);

G_END_DECLS
