/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * samples.h: what calibrate and evaluate look at, one image after the other: pictures and videos,
 * IDX files, and batch files of images that are preprocessed already, as TensorRT's samples have them.
 */
#pragma once

#include "tools/images.h"

typedef struct {
  const char *name;         /* of its file */
  const EngineImage *image; /* in host memory; NULL: */
  const float *tensor;      /* the model's input as it is, [c h w] */
  int label;                /* -1: not known */
} ToolSample;

/* Stays valid during the call. */
typedef gboolean (*ToolSampleFn) (const ToolSample *sample, gpointer data, GError **error);

typedef struct {
  /* What tool_images_find() has found. A file is, by its content,
   *   an IDX file   bytes of rank 3, gzipped or not
   *   a batch file  four int32 n c h w, the floats of n images [c h w], and n floats that are labels, which
   *                 may be left out; all little-endian
   *   a picture or a video otherwise */
  const GPtrArray *paths;
  /* An IDX file of labels; or text with a label a line, in the order of the images, or a file's name and
   * its label. NULL: those of batch files. */
  const char *labels;
  gint64 skip, max; /* images; max 0: all */
  EngineInputInfo input;
  gboolean silent; /* without tool_progress() */
} ToolSamples;

/* Returns how many were shown, or -1. */
gint64 tool_samples_read (const ToolSamples *samples, ToolSampleFn show, gpointer data,
    GError **error);

/* --- Into the input tensor ------------------------------------------------------------------- */

typedef struct _ToolInput ToolInput;

/* Writes tensors of a type on a back end, which must outlive it. scale and zero: of ENGINE_TYPE_S8. */
ToolInput *tool_input_new (const EnginePreprocess *preprocess, const EngineInputInfo *input,
    EngineType type, float scale, int zero, KernelBackend *backend, GError **error);
/* The same for the input of an engine. */
ToolInput *tool_input_of_engine (const EnginePreprocess *preprocess, const Engine *engine,
    KernelBackend *backend, GError **error);
void tool_input_free (ToolInput *input); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ToolInput, tool_input_free)
/* Waits until the tensor, which is the back end's, is written. */
gboolean tool_input_write (ToolInput *input, const ToolSample *sample, void *tensor,
    GError **error);
