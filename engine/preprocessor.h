/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preprocessor.h: the inside of an EnginePreprocessor. Internal to engine/.
 *
 *   preprocessor.c          making one, and running it
 *   preprocessor-set-up.c   what depends on size and format of the pictures
 *   preprocessor-passes.c   resize, colour and table as kernels of their own
 *   preprocessor-whole.c    as one kernel, where the back end has it
 */
#pragma once

#include "engine/image.h"

typedef struct {
  gboolean used; /* some component of the tensor comes from it */
  KernelResizeAxis h, v;
  gsize h_at, v_at; /* offsets in the block */

  /* Passes: */
  gboolean direct;     /* it has its size: no resize, no canvas */
  KernelResize resize; /* x is set for every frame */
  KernelComponent canvas;
  gsize canvas_at;
} EnginePlaneWay;

/* Memory of one set-up, which grows only. The block begins with what is uploaded: the table, the mean image,
 * taps and canvases with borders. The host makes it in `staging`. */
typedef struct {
  guint8 *staging, *block;
  gsize staging_size, block_size;
} EngineSetUp;

/* Pictures of as many sizes can be queued on a device before one of them has to be waited for: objects on
 * a frame have a size each. */
#define ENGINE_SET_UPS 16

struct _EnginePreprocessor {
  EnginePreprocess preprocess;
  int channels, height, width;
  EngineType type;
  KernelBackend *backend;
  gboolean whole; /* one kernel does it all */
  guint8 *
      table; /* [channels][n_levels] of the type, for bytes at full range or differences from a mean */
  int n_levels;
  gsize table_size;

  EngineImage format; /* what is set up; width 0: nothing */
  EngineGeometry geometry;
  EnginePlaneWay planes[3];
  int n_components; /* of the picture that are needed: 1 or 3 */
  struct {
    int plane, offset;
  } component[3];
  KernelColour colour; /* which conversion, if any */
  gint32 matrix[3][3]; /* of YUV */
  gsize mean_at;

  KernelPicture picture;     /* whole */
  KernelComponent converted; /* passes */
  gsize converted_at;
  KernelYuv yuv;
  KernelGrey grey;
  KernelInput input;

  EngineSetUp set_ups[ENGINE_SET_UPS];
  guint max_set_ups; /* 1 where a kernel has run when it returns */
  guint n_set_ups;   /* that queued work may use; the last is the present one */
  guint8 *staging, *block;
};

/* Makes it ready for pictures of this size and format. */
gboolean engine_preprocessor_set_up (EnginePreprocessor *preprocessor, const EngineImage *image,
    KernelQueue *queue, GError **error);

void engine_preprocessor_free_set_ups (EnginePreprocessor *preprocessor);

/* Room behind *end, aligned. */
gsize engine_preprocessor_place (gsize *end, gsize size);

/* passes: what can be read in place; canvases that are uploaded with their borders; then what is not
 * uploaded, asked for while taps are in host memory; then arguments, and the kernels of a frame. */
void engine_preprocessor_choose_direct (EnginePreprocessor *preprocessor, const EngineImage *image);
void engine_preprocessor_place_canvases (EnginePreprocessor *preprocessor, const EngineImage *image,
    gsize *end);
gsize engine_preprocessor_place_scratch (EnginePreprocessor *preprocessor, const EngineImage *image,
    gsize *end);
void engine_preprocessor_set_passes (EnginePreprocessor *preprocessor, gsize scratch_at);
void engine_preprocessor_run_passes (EnginePreprocessor *preprocessor, const EngineImage *image,
    KernelQueue *queue, void *tensor);

/* whole: the same for one kernel. */
void engine_preprocessor_set_whole (EnginePreprocessor *preprocessor, const EngineImage *image);
void engine_preprocessor_run_whole (EnginePreprocessor *preprocessor, const EngineImage *image,
    KernelQueue *queue, void *tensor);

/* Which colour of the picture channel k of the tensor is. */
static inline int
engine_preprocessor_pick (const EnginePreprocessor *preprocessor, int k)
{
  return preprocessor->preprocess.color_format == ENGINE_COLOR_BGR ? 2 - k : k;
}
