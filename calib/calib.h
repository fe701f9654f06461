/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calib.h: activation statistics, thresholds and calibration tables. Knows names and numbers,
 * no graphs and no frames.
 *
 *   float tensors --calib_histogram_add()--> CalibStatistics --calib_threshold()--> CalibTable
 *
 * Files are written atomically (temporary file in the same folder, fsync, rename): a reader sees
 * the old file or the new one. Errors are GErrors: CALIB_ERROR for contents, G_FILE_ERROR for the
 * file system; a message names the file, the line where there is one, the cause, and what to do.
 *
 * Threads: an object belongs to one thread at a time; different objects are independent. Merging
 * is how threads work together: one set of statistics each, merged at the end.
 *
 * A char * that a function returns is the caller's, for g_free(); a const char *, and any other const pointer,
 * belongs to the object that was asked, and is valid until that is changed or freed. free() functions take NULL.
 * What is asked for by index is below the n_ function's number.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define CALIB_ERROR (calib_error_quark ())
GQuark calib_error_quark (void);
typedef enum {
  CALIB_ERROR_FORMAT,     /* the text or bytes are not what the format says */
  CALIB_ERROR_TRUNCATED,  /* the file ends early */
  CALIB_ERROR_MISMATCH,   /* other model or preprocessing, or tensors that do not correspond */
  CALIB_ERROR_EMPTY,      /* no frame was seen, no range can be told */
  CALIB_ERROR_UNAVAILABLE /* a method needs statistics that were not collected */
} CalibError;

/* Replaces the contents of `path` atomically. The folder must exist. On any error (disk full
 * included) the old file stays as it was and no temporary file is left; the one exception is a
 * failure to sync the folder after the new file is in place, and the message says so.
 *
 * The new file has the old one's permissions, or those of any new file. Where path is a symbolic
 * link, what it points to is replaced. What is there but no regular file is refused. A process that
 * is killed in the midst may leave `.int8-*.tmp` in the folder. */
gboolean calib_file_replace (const char *path, const void *data, gsize size, GError **error);

/* Reads at most `limit` bytes; a larger file is CALIB_ERROR_FORMAT. Terminated by a 0 that `size`
 * does not count. `what` names the kind of file in messages. */
char *calib_file_read (const char *path, gsize limit, const char *what, gsize *size,
    GError **error);

/* --- Histogram ------------------------------------------------------------------------------ */

/* The distribution of one tensor, streamed. Bin width 2^exponent, 16384 bins for each sign; when a
 * larger value comes, neighbouring bins are folded in pairs and the exponent grows. Zeros and
 * non-finite values are counted apart. Bit-identical for any order, batching and merge tree of the
 * same values.
 *
 * Memory: 256 KiB, plus 16 bytes a channel (24 once a non-finite value was seen), plus 16 KiB for
 * TensorRT's own histogram. */
#define CALIB_BINS 16384
typedef struct _CalibHistogram CalibHistogram;

typedef enum {
  CALIB_HISTOGRAM_DEFAULT = 0,
  /* also keep TensorRT's order-dependent histogram of 2048 bins, for entropy2-trt and legacy;
   * statistics that hold it do not merge exactly, and calib_histogram_merge() drops it */
  CALIB_HISTOGRAM_TENSORRT = 1 << 0,
} CalibHistogramFlags;

/* channels: the length of the tensor's last axis, for per-channel sums; 0 for none. */
CalibHistogram *calib_histogram_new (guint channels, CalibHistogramFlags flags);
void calib_histogram_free (CalibHistogram *histogram); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CalibHistogram, calib_histogram_free)

/* Adds n values, a multiple of channels, in the order of memory (channel last). One call is one
 * batch as far as TensorRT's histogram is concerned. */
void calib_histogram_add (CalibHistogram *histogram, const float *x, gsize n);

/* Values that were counted elsewhere, such as on the device that made them. */
typedef struct {
  gint64 high; /* the sum of a channel's finite values: (high * 2^32 + low) * 2^-40. Each was clamped */
  guint64 low; /* to +-2^21 and rounded to a multiple of 2^-40, half to even */
  guint64 n_nonfinite;
} CalibChannelCounts;
typedef struct {
  guint64 n, n_zero, n_nonfinite;      /* as in CalibSummary */
  float min, max;                      /* of the finite values; 0 where there is none */
  const guint64 *bins[2];              /* positive, negative: [CALIB_BINS], as wide as min and max want */
  const CalibChannelCounts *channels; /* [channels]; NULL without */
} CalibCounts;
/* The same as adding the values themselves. Not to one that collects TensorRT's histogram, which wants
 * the values. */
void calib_histogram_add_counts (CalibHistogram *histogram, const CalibCounts *counts);

/* Adds everything `from` saw. CALIB_ERROR_MISMATCH if the channels differ, CALIB_ERROR_FORMAT if the two
 * count more than 2^64 values together; nothing is changed then. */
gboolean calib_histogram_merge (CalibHistogram *histogram, const CalibHistogram *from,
    GError **error);

/* What is known of the values: exact. min and max are 0 when nothing finite was seen. */
typedef struct {
  guint64 n; /* all values, zeros and non-finite ones included */
  guint64 n_zero;
  guint64 n_nonfinite;
  float min, max;
  int exponent; /* bin width 2^exponent; 0 before the first non-zero value */
} CalibSummary;
void calib_histogram_summary (const CalibHistogram *histogram, CalibSummary *summary);

/* The counts of one half: bin j holds |x| in [j, j + 1) * 2^exponent, without zeros. Valid until
 * the next add or merge. */
const guint64 *calib_histogram_bins (const CalibHistogram *histogram, gboolean negative);

/* Mean of one channel's finite values, from integer sums (2^-40 a unit). NAN when there are none,
 * when no sums are kept, and when some |x| is 2^21 or more: sums do not hold those. */
double calib_histogram_channel_mean (const CalibHistogram *histogram, guint channel);

/* --- Thresholds ----------------------------------------------------------------------------- */

typedef enum {
  CALIB_METHOD_MINMAX,       /* T = max |x| */
  CALIB_METHOD_ENTROPY2,     /* TensorRT's objective on the order-independent histogram */
  CALIB_METHOD_ENTROPY2_TRT, /* ... on TensorRT's own histogram: its tables, bin for bin */
  CALIB_METHOD_PERCENTILE,   /* `percentile` % of all values, zeros included, are below T */
  CALIB_METHOD_MSE,          /* least squared quantisation error */
  CALIB_METHOD_ENTROPY,      /* entropy2's threshold; the table shares no ranges between tensors */
  CALIB_METHOD_LEGACY,       /* `quantile` of all values are below T, by TensorRT's own histogram:
                                the tables of TensorRT's legacy calibrator, bin for bin */
  CALIB_METHOD_MSE_RELATIVE, /* mse, but errors of values far beyond the root mean square count relative
                                to the value: for networks whose outliers carry nothing */
  CALIB_METHOD_COUNT
} CalibMethod;
/* "minmax", "entropy2", "entropy2-trt", "percentile", "mse", "entropy", "legacy",
 * "mse-relative". */
const char *calib_method_name (CalibMethod method);
/* FALSE: there is none of that name, and *method stays what it is. */
gboolean calib_method_from_name (const char *name, CalibMethod *method);
/* What histograms must have collected for the method. CALIB_HISTOGRAM_TENSORRT is order-dependent
 * and unmergeable. */
CalibHistogramFlags calib_method_flags (CalibMethod method);

/* How the levels will be spent (NUMERICS): mse looks at the error of that very grid. */
typedef enum {
  CALIB_RANGE_SYMMETRIC, /* 255 levels over [-T, T] */
  CALIB_RANGE_FULL,      /* 256 levels over [0, T]: the tensor is never negative */
  CALIB_RANGE_WITHIN     /* 256 levels over the part of [-T, T] within [lo, hi], 255 where that is
                            symmetric; minmax, percentile and mse* see values clamped to [lo, hi] */
} CalibRange;

typedef struct {
  CalibMethod method;
  double percentile; /* in (0, 100]; only CALIB_METHOD_PERCENTILE; e.g. 99.99 */
  CalibRange range;
  double quantile; /* in (0, 1]; only CALIB_METHOD_LEGACY; 0 stands for 0.999999 */
  float lo, hi;    /* lo <= hi; only CALIB_RANGE_WITHIN; -INFINITY and INFINITY for no limit */
} CalibThresholdOptions;

typedef struct {
  float threshold; /* T: real values are clipped to what `range` makes of it. 0 for an all-zero tensor */
  guint bin;    /* entropy*: m, the first of the best bins; legacy: k, the bins below T; else 0 */
  double score; /* entropy*: the divergence, infinite where there are too few bins to tell (T is
                      then max |x|, or near it); mse*: the mean (weighted) squared error; else 0 */
} CalibThreshold;

/* Source: docs/CALIBRATION.md holds the formulas; entropy2 after Migacz, "8-bit inference with
 * TensorRT", GTC 2017, as recovered from NVIDIA's published tables.
 * CALIB_ERROR_EMPTY when no finite value was seen; CALIB_ERROR_UNAVAILABLE for entropy2-trt and
 * legacy without CALIB_HISTOGRAM_TENSORRT; CALIB_ERROR_FORMAT for a percentile outside (0, 100] or
 * a quantile outside (0, 1]. */
gboolean calib_threshold (const CalibHistogram *histogram, const CalibThresholdOptions *options,
    CalibThreshold *threshold, GError **error);

/* --- Statistics: histograms by tensor name, with provenance --------------------------------- */

typedef struct _CalibStatistics CalibStatistics;

/* Where numbers come from. Strings are owned by the object that holds them; NULL is "unknown".
 * A mismatch of model or preprocessing makes statistics unmergeable and a table unusable. */
typedef struct {
  char *model_sha256;      /* hex */
  char *preprocess_sha256; /* hex, of the canonical text of the preprocessing */
  char *source;            /* for people: an element, a URI, a folder */
  char *tool;              /* "gst-int8 0.1.0" */
  guint64 frames;
} CalibProvenance;

/* A copy of provenance is kept; NULL is "all unknown". */
CalibStatistics *calib_statistics_new (const CalibProvenance *provenance,
    CalibHistogramFlags flags);
void calib_statistics_free (CalibStatistics *statistics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CalibStatistics, calib_statistics_free)

/* The histogram of a tensor, made on first use. Owned by the statistics, valid while they live.
 * Asking again with other channels is a programming error. */
CalibHistogram *calib_statistics_tensor (CalibStatistics *statistics, const char *name,
    guint channels);
/* The same for a tensor that only methods with TensorRT's own histogram look at, such as the output
 * of a max pool: a merge, which drops these histograms, drops the tensor. With
 * CALIB_HISTOGRAM_TENSORRT only. A tensor that is there already stays what it is. */
CalibHistogram *calib_statistics_tensor_for_trt (CalibStatistics *statistics, const char *name,
    guint channels);
/* What its histograms collect; without CALIB_HISTOGRAM_TENSORRT after a merge. */
CalibHistogramFlags calib_statistics_flags (const CalibStatistics *statistics);
/* NULL when the name is not there. */
const CalibHistogram *calib_statistics_lookup (const CalibStatistics *statistics, const char *name);
guint calib_statistics_n_tensors (const CalibStatistics *statistics);
/* In the order in which they were made. */
const char *calib_statistics_name (const CalibStatistics *statistics, guint index);
const CalibProvenance *calib_statistics_provenance (const CalibStatistics *statistics);
void calib_statistics_add_frames (CalibStatistics *statistics, guint64 frames);

/* CALIB_ERROR_MISMATCH names what differs: model, preprocessing (unknown matches unknown only) or a
 * tensor that one of them lacks, CALIB_ERROR_FORMAT says that they count more than 2^64 values or frames
 * together; nothing is changed then. Statistics without any tensor go with all
 * of their model. Where source or tool differ, the parts between ", " are united and sorted: any
 * order of merging gives the same. TensorRT's histograms are dropped, and so are tensors that were
 * only there for them. */
gboolean calib_statistics_merge (CalibStatistics *statistics, const CalibStatistics *from,
    GError **error);

/* The .int8stats file; its layout is described in calib/statistics-file.c. The same statistics give
 * the same bytes. At most 8192 tensors and 1 GiB: more is CALIB_ERROR_FORMAT. Loading trusts nothing: every
 * size is checked against the file's, a file that ends early is CALIB_ERROR_TRUNCATED, and one that is
 * damaged, of another version, or whose numbers contradict each other CALIB_ERROR_FORMAT. */
gboolean calib_statistics_save (const CalibStatistics *statistics, const char *path,
    GError **error);
CalibStatistics *calib_statistics_load (const char *path, GError **error);

/* --- Kept frames: some of the input tensors themselves, for what histograms cannot answer ----- */

/* Of all frames offered, the k with the smallest SHA-256 of their bytes (little-endian float32):
 * a fair sample without repetitions, the same for any order, split and merge tree. Merging keeps
 * the smallest k of both; where the two differ in k, the smaller one (0 does not count). They are
 * part of the .int8stats file, unless they were said to stay in memory, and cost 4 bytes a value. */

/* k = 0, as it is at first: none. A smaller k drops frames, a larger one does not bring any back:
 * say it before the first offer. */
void calib_statistics_keep_frames (CalibStatistics *statistics, guint k);
/* The same, and no file gets them: frames are pictures. Merging with others that keep frames for files
 * leaves them in memory, too. */
void calib_statistics_keep_in_memory (CalibStatistics *statistics, guint k);
/* As it was said, or loaded, or merged. */
guint calib_statistics_keeps (const CalibStatistics *statistics);
/* n values, copied if they are to be kept. Counts nothing: calib_statistics_add_frames() does. */
void calib_statistics_offer_frame (CalibStatistics *statistics, const float *x, gsize n);
guint calib_statistics_n_kept (const CalibStatistics *statistics);
/* In the order of their hashes. Valid until the next offer or merge. */
const float *calib_statistics_kept (const CalibStatistics *statistics, guint index, gsize *n);

/* --- Calibration table ---------------------------------------------------------------------- */

/* TensorRT's text format: a header line, then `name: hex`, hex being the bits of the float32 scale
 * T / 127. Names may hold anything but a line feed: a line is split at its last ": ". */
typedef struct _CalibTable CalibTable;

/* header: the first line without its line feed; calib_table_header() makes TensorRT's. */
CalibTable *calib_table_new (const char *header);
void calib_table_free (CalibTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CalibTable, calib_table_free)

/* "TRT-<version>-<algorithm>": EntropyCalibration2 for the entropy2 methods, EntropyCalibration and
 * LegacyCalibration for entropy and legacy, MinMaxCalibration for the others (a header TensorRT
 * reads; the method itself is in the side file). version is
 * TensorRT's number, such as 8601 or 101400. */
char *calib_table_header (CalibMethod method, guint version);

/* scale: T / 127, finite and not negative. Replaces in place. */
void calib_table_set (CalibTable *table, const char *name, float scale);
/* FALSE when the name is not there or its word is no finite number >= 0: no range. */
gboolean calib_table_lookup (const CalibTable *table, const char *name, float *scale);
const char *calib_table_get_header (const CalibTable *table);
guint calib_table_n_entries (const CalibTable *table);
/* In the table's order. *scale is NAN where the word is no range; scale may be NULL. */
const char *calib_table_entry (const CalibTable *table, guint index, float *scale);

/* Reading is liberal (line ends of DOS, blank lines, 1 to 8 hex digits, any header); what cannot
 * be understood is CALIB_ERROR_FORMAT with the line number, and so is an entry in the place of the
 * header. The same name twice: the later wins. A table in TensorRT's spelling is written back byte
 * for byte, words that are no range included.
 * text need not be terminated; where `name` is NULL messages say "table". */
CalibTable *calib_table_parse (const char *text, gsize size, const char *name, GError **error);
CalibTable *calib_table_load (const char *path, GError **error);
char *calib_table_to_string (const CalibTable *table);
/* CALIB_ERROR_FORMAT for what would not be read back: a name that is empty or holds a line feed, a
 * header that is no header. */
gboolean calib_table_save (const CalibTable *table, const char *path, GError **error);

/* --- Dynamic ranges: given by hand -------------------------------------------------------------- */

/* The text format of NVIDIA's sampleINT8API: `name: T` (that is -T .. T) or `name: min max` a line,
 * split at the last ':' and trimmed; blank lines and lines that begin with '#' are skipped. Ranges
 * are kept as doubles: whatever float32 scale they came from is found again as
 * (float) (max (-lo, hi) / 127). */
typedef struct _CalibDynamicRanges CalibDynamicRanges;

CalibDynamicRanges *calib_dynamic_ranges_new (void);
void calib_dynamic_ranges_free (CalibDynamicRanges *ranges);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CalibDynamicRanges, calib_dynamic_ranges_free)

/* Replaces in place. Finite, lo <= hi. */
void calib_dynamic_ranges_set (CalibDynamicRanges *ranges, const char *name, double lo, double hi);
/* FALSE when the name is not there. */
gboolean calib_dynamic_ranges_lookup (const CalibDynamicRanges *ranges, const char *name,
    double *lo, double *hi);
guint calib_dynamic_ranges_n_entries (const CalibDynamicRanges *ranges);
/* In the order of setting. lo and hi may be NULL. */
const char *calib_dynamic_ranges_entry (const CalibDynamicRanges *ranges, guint index, double *lo,
    double *hi);

/* text need not be terminated; where `name` is NULL messages say "dynamic ranges". What cannot be
 * understood is CALIB_ERROR_FORMAT with the line number, and so is the same tensor twice with
 * different ranges: one of them is a mistake. */
CalibDynamicRanges *calib_dynamic_ranges_parse (const char *text, gsize size, const char *name,
    GError **error);
CalibDynamicRanges *calib_dynamic_ranges_load (const char *path, GError **error);
/* The shortest numbers that are read as the same. */
char *calib_dynamic_ranges_to_string (const CalibDynamicRanges *ranges);
/* CALIB_ERROR_FORMAT for a name that would not be read back: empty, with a line feed in it, with
 * blanks at its ends, or beginning with '#'. */
gboolean calib_dynamic_ranges_save (const CalibDynamicRanges *ranges, const char *path,
    GError **error);

/* --- Formats of other tools --------------------------------------------------------------------- */

typedef enum {
  CALIB_FORMAT_TENSORRT,        /* a CalibTable */
  CALIB_FORMAT_RANGES,          /* CalibDynamicRanges */
  CALIB_FORMAT_ORT_JSON,        /* ONNX Runtime's calibration.json */
  CALIB_FORMAT_ORT_CACHE,       /* ONNX Runtime's calibration.cache: `name T` a line */
  CALIB_FORMAT_ORT_FLATBUFFERS, /* ONNX Runtime's calibration.flatbuffers: the same, binary */
  CALIB_FORMAT_NCNN,            /* ncnn's table: `layer 127/T` a line */
  CALIB_FORMAT_COUNT
} CalibFormat;
/* "tensorrt", "ranges", "onnxruntime-json", "onnxruntime-cache", "onnxruntime-flatbuffers", "ncnn". */
const char *calib_format_name (CalibFormat format);
/* As calib_method_from_name(). */
gboolean calib_format_from_name (const char *name, CalibFormat *format);

/* What the contents can be read as. Where that is two formats, as it is of `name number` lines, the
 * suffix of `path` tells (.cache: ONNX Runtime, .table: ncnn), and where it does not,
 * CALIB_ERROR_FORMAT names them. CALIB_ERROR_EMPTY where there is nothing but blanks. path may be NULL. */
gboolean calib_format_guess (const char *text, gsize size, const char *path, CalibFormat *format,
    GError **error);

/* Anything that holds ranges, as ranges. *note says for people what the file holds besides, and
 * what was left out and why, and is the caller's; NULL where it was all. CALIB_ERROR_FORMAT with the line or the tensor.
 * text need not be terminated; where `name` is NULL messages say the format. */
CalibDynamicRanges *calib_format_parse (CalibFormat format, const char *text, gsize size,
    const char *name, char **note, GError **error);

/* The contents of a file, terminated by a 0 that *size does not count. header is that of a TensorRT table, and
 * of no meaning to the others. Formats that know symmetric ranges only get the larger magnitude; *note, the
 * caller's or NULL, says of how many that was, and what else the format cannot hold. CALIB_ERROR_FORMAT where
 * that is a name. */
char *calib_format_write (CalibFormat format, const CalibDynamicRanges *ranges, const char *header,
    gsize *size, char **note, GError **error);

/* The provenance of a table: JSON in `<path>.json`, beside it. method is calib_method_name(). */
gboolean calib_provenance_save (const CalibProvenance *provenance, const char *method,
    const char *table_path, GError **error);
/* FALSE without error when there is no such file, CALIB_ERROR_FORMAT for one that holds something else;
 * provenance is filled with strings to be freed by calib_provenance_clear(). */
gboolean calib_provenance_load (const char *table_path, CalibProvenance *provenance,
    GError **error);
void calib_provenance_clear (CalibProvenance *provenance);

G_END_DECLS
