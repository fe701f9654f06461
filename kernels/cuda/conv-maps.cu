/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conv-maps.cu: see conv-maps.h.
 */
#include "kernels/cuda/conv-maps.h"

typedef CUresult (*EncodeIm2col) (CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
    const cuuint64_t *, const cuuint64_t *, const int *, const int *, cuuint32_t, cuuint32_t,
    const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
    CUtensorMapFloatOOBfill);
typedef CUresult (*EncodeTiled) (CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
    const cuuint64_t *, const cuuint64_t *, const cuuint32_t *, const cuuint32_t *,
    CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* A function of the driver, which is loaded already. */
static void *
find (KernelQueue *queue, const char *name)
{
  cudaDriverEntryPointQueryResult found;
  void *function = NULL;

  kernel_cuda_check (queue, name,
      cudaGetDriverEntryPointByVersion (name, &function, 12000, cudaEnableDefault, &found));
  if (!function)
    kernel_cuda_check (queue, name, cudaErrorSymbolNotFound);
  return function;
}

static CUtensorMapSwizzle
swizzle_of (int bytes)
{
  return bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B;
}

/* A tensor of bytes in boxes, zeros outside; dims[0] and box[0] are channels. */
static bool
map_boxes (KernelQueue *queue, CUtensorMap *map, const void *data, int rank, const cuuint64_t *dims,
    const cuuint32_t *box)
{
  static EncodeTiled encode; /* the same from any thread */
  const cuuint32_t steps[4] = {1, 1, 1, 1};
  cuuint64_t strides[3], stride = 1;

  for (int i = 0; i + 1 < rank; i++)
    strides[i] = stride *= dims[i];
  if (!encode)
    encode = (EncodeTiled) find (queue, "cuTensorMapEncodeTiled");
  return encode &&
         encode (map, CU_TENSOR_MAP_DATA_TYPE_UINT8, (cuuint32_t) rank, (void *) data, dims,
             strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of ((int) box[0]),
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

bool
kernel_conv_map_matrix (KernelQueue *queue, CUtensorMap *map, const void *data, int rows,
    int columns, int box_rows, int box_columns)
{
  const cuuint64_t dims[2] = {(cuuint64_t) columns, (cuuint64_t) rows};
  const cuuint32_t box[2] = {(cuuint32_t) box_columns, (cuuint32_t) box_rows};

  return map_boxes (queue, map, data, 2, dims, box);
}

bool
kernel_conv_map_images (KernelQueue *queue, CUtensorMap *map, const void *data, int n, int h, int w,
    int c, int box_h, int box_w, int box_c)
{
  const cuuint64_t dims[4] = {(cuuint64_t) c, (cuuint64_t) w, (cuuint64_t) h, (cuuint64_t) n};
  const cuuint32_t box[4] = {(cuuint32_t) box_c, (cuuint32_t) box_w, (cuuint32_t) box_h, 1};

  return map_boxes (queue, map, data, 4, dims, box);
}

bool
kernel_conv_map_windows (KernelQueue *queue, CUtensorMap *map, const KernelConvShape *s,
    const void *x, int pixels, int kb)
{
  static EncodeIm2col encode;
  const cuuint64_t dims[4] = {(cuuint64_t) s->ic, (cuuint64_t) s->iw, (cuuint64_t) s->ih,
      (cuuint64_t) s->n};
  const cuuint64_t strides[3] = {(cuuint64_t) s->ic, (cuuint64_t) s->ic * s->iw,
      (cuuint64_t) s->ic * s->iw * s->ih};
  const int lower[2] = {-s->pad_left, -s->pad_top};
  const int upper[2] = {(s->ow - 1) * s->stride_w - s->pad_left + 1 - s->iw,
      (s->oh - 1) * s->stride_h - s->pad_top + 1 - s->ih};
  const cuuint32_t steps[4] = {1, (cuuint32_t) s->stride_w, (cuuint32_t) s->stride_h, 1};

  if (!encode)
    encode = (EncodeIm2col) find (queue, "cuTensorMapEncodeIm2col");
  return encode &&
         encode (map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 4, (void *) x, dims, strides, lower,
             upper, (cuuint32_t) kb, (cuuint32_t) pixels, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzle_of (kb), CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}
