/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bias.h: bias correction: what rounding the weights of a convolution takes from its outputs on
 * average, given back to its bias. Part of engine.h.
 *
 * It travels in a text file beside the calibration table, `<table>.bias`:
 *
 *   gst-int8 bias correction 1
 *   table <SHA-256 of the table's bytes>
 *   <name of a layer's output tensor>: <a number for each output channel>
 *   channels                                      (this and what follows: where there are any)
 *   <name of a tensor>: <T> <a factor for each channel>
 *   end
 *
 * A bias belongs to one thread while it is changed, and is shared freely then. Names, values and factors that it
 * gives are its own, and valid until that. Corrections are in real values, one for each output channel.
 */
#pragma once

#include "engine/engine.h"

G_BEGIN_DECLS

/* "fast": from the statistics alone, without frames (docs/CALIBRATION.md). equalised: its scales by channel
 * are the result's, too; or NULL. */
EngineBias *engine_bias_fast (const EngineModel *model, const CalibStatistics *statistics,
    const EngineBias *equalised);

typedef struct {
  EngineRanges ranges;
  const EnginePreprocess *preprocess; /* as in EngineBuildOptions */
  const GPtrArray *frames; /* const float *: input tensors, as the FP32 network takes them */
  const EngineBias *equalised; /* or NULL: its scales by channel are the result's, too */
  int threads;             /* 0 for all CPUs */
  EngineProgressFn progress; /* in frames that have run, with the layer; or NULL */
  gpointer progress_data;
} EngineBiasOptions;

/* "full": on frames, layer after layer, for this table: the frames run through half the INT8 network
 * once for every layer. It makes up for what inputs of a layer lost, too. CALIB_ERROR_EMPTY where there
 * are no frames; else as engine_build(), engine_exec_new() and engine_exec_run(). */
EngineBias *engine_bias_full (const EngineModel *model, const CalibTable *table,
    const EngineBiasOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error);
/* Those that the statistics keep (free the array only); CALIB_ERROR_MISMATCH where they are of another
 * size than the model's. */
GPtrArray *engine_bias_frames (const EngineModel *model, const CalibStatistics *statistics,
    GError **error);

/* Channels with scales of their own, beside the corrections and in the same file: between a convolution
 * and what reads it, a channel's range is [-T, T] times its factor, above 0 and at most 1. It costs nothing
 * when running. Found on frames, with the method's T of the scaled values; does nothing without frames,
 * without such layers, and for methods that need TensorRT's histograms.
 *
 * Before a depthwise convolution always; before dense ones, whose weights are multiplied by the factors,
 * where the INT8 network of the table then loses less on frames that the factors are not from. That is tried
 * with the fast correction, if any is wanted, and bias gets the one for the weights as they are then. */
typedef struct {
  CalibMethod method;
  double percentile;       /* of CALIB_METHOD_PERCENTILE */
  const GPtrArray *frames; /* const float *, as above */
  int threads;             /* 0 for all CPUs */
  const CalibTable *table; /* of the method; NULL: before depthwise convolutions only */
  EngineRanges ranges;
  const EnginePreprocess *preprocess;
  const CalibStatistics *statistics; /* for the correction; NULL: none is wanted */
  EngineProgressFn progress;         /* in frames that have run, or NULL */
  gpointer progress_data;
} EngineEqualiseOptions;
/* Errors are those of engine_bias_full() but for no frames, and of calib_threshold() with the tensor's name; bias
 * may have some of the scales then. */
gboolean engine_equalise (EngineBias *bias, const EngineModel *model,
    const EngineEqualiseOptions *options, KernelBackend *backend, GCancellable *cancellable,
    GError **error);
/* threshold: T, above 0. Replaces those of the same tensor. */
void engine_bias_set_channels (EngineBias *bias, const char *tensor, float threshold,
    const float *factors, guint channels);
/* The factors; NULL where the tensor has none, and *threshold and *channels stay what they are. */
const float *engine_bias_channels (const EngineBias *bias, const char *tensor, float *threshold,
    guint *channels);
/* Adds the scales of another, or replaces them. */
void engine_bias_copy_channels (EngineBias *bias, const EngineBias *from);
/* The corrections, too. */
void engine_bias_copy (EngineBias *bias, const EngineBias *from);
guint engine_bias_n_equalised (const EngineBias *bias);
const char *engine_bias_equalised (const EngineBias *bias, guint tensor);

EngineBias *engine_bias_new (void);       /* corrects nothing */
void engine_bias_free (EngineBias *bias); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineBias, engine_bias_free)

/* Finite values; replaces those of the same tensor. */
void engine_bias_set (EngineBias *bias, const char *tensor, const float *values, guint channels);
/* NULL where the layer of this output tensor has none, and *channels stays what it is. */
const float *engine_bias_lookup (const EngineBias *bias, const char *tensor, guint *channels);
guint engine_bias_n_layers (const EngineBias *bias);
const char *engine_bias_layer (const EngineBias *bias, guint layer);

char *engine_bias_path (const char *table_path); /* `<table>.bias` */
/* The text of the file. What is not in the form is ENGINE_ERROR_FILE with the line; one for another
 * table ENGINE_ERROR_MISMATCH, unless table_sha256 is NULL. name: for messages. */
char *engine_bias_to_string (const EngineBias *bias, const char *table_sha256);
EngineBias *engine_bias_parse (const char *text, const char *table_sha256, const char *name,
    GError **error);

/* Writes the file beside a table that is, or will be, saved at table_path; a bias that corrects
 * nothing, or NULL, removes it. G_FILE_ERROR where that fails. */
gboolean engine_bias_save (const EngineBias *bias, const CalibTable *table, const char *table_path,
    GError **error);
/* NULL without error when there is none. Errors are those of engine_bias_parse(), and G_FILE_ERROR, which a
 * table that cannot be read is, too. */
EngineBias *engine_bias_load (const char *table_path, GError **error);

G_END_DECLS
