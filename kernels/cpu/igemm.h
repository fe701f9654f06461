/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * igemm.h: convolution as an indirect matrix product, int8 and float, dense and depthwise.
 *
 * The window of an output pixel is cut into `taps` rows: contiguous stretches of the input, read
 * where they lie. Only a row that crosses the border of the image, or would be read past the end
 * of the tensor, is copied into the thread's scratch; one that lies outside is the row of padding
 * behind the packed weights. A micro-kernel ("tile") multiplies the rows of a few pixels with
 * blocks of IGEMM_NR channels of packed weights and finishes the outputs in registers.
 *
 *     dense      kh rows of kw * ic values; kh * kw rows of ic / groups where the columns are not
 *                adjacent (dilation) or the channels not all wanted (groups)
 *     depthwise  kh * kw rows of oc values; with a channel multiplier, copied with repetition
 *
 * An instruction set brings an IgemmKind: a tile and what it wants to read. Everything else, in
 * plain C, is here.
 */
#pragma once

#include "kernels/cpu/cpu.h"

#define IGEMM_MR         6         /* pixels of a tile, but of one that says otherwise */
#define IGEMM_MAX_MR     12        /* the most of float */
#define IGEMM_NR         16        /* channels of a block */
#define IGEMM_TOTALS     384       /* sums of a tile of float that are in registers at once, at most */
#define IGEMM_ALL_BLOCKS (1 << 20) /* for a tile that takes any number */
#define IGEMM_GATHERED   56        /* windows that are gathered at once */
#define IGEMM_PIECE      32        /* bytes of a window's line, at most, that are */

/* A loop of a tile over its registers. It is unrolled always: an array whose index is not constant
 * stays in memory. */
#if defined(__clang__)
#define IGEMM_EACH(i, count) _Pragma ("clang loop unroll(full)") for (int i = 0; i < (count); i++)
#else
#define IGEMM_EACH(i, count) _Pragma ("GCC unroll 32") for (int i = 0; i < (count); i++)
#endif

/* One call of a micro-kernel. */
typedef struct {
  const void *const *rows; /* [taps][mr]; those beyond `pixels` repeat the last pixel's. NULL where */
  const void *x;           /* the row of pixel i, of the only tap, is x + i * x_stride, for */
  size_t x_stride;         /* a kind that is `plain` */
  const void *w;           /* the first block */
  size_t w_stride;         /* bytes from block to block */
  int taps;
  int run;            /* values of a dense row, a multiple of k_round */
  int channel;        /* of the group, of the first output: where a depthwise row is read */
  int pixels;         /* 1 .. mr, any number without rows: outputs of */
  int channels;       /* 1 .. tile_blocks * IGEMM_NR channels each */
  size_t y_stride;    /* values from pixel to pixel, of y and r */
  void *y;            /* the first output */
  const void *r;      /* its residual, or NULL */
  const float *m, *b; /* of the first channel; m is int8 only */
  float mr, lo, hi;
  float *totals;      /* float: memory of IGEMM_TOTALS sums, of chains that are ended (kernels.h) */
  const void *ahead;  /* a block that a later call wants, or beyond the last: to be fetched meanwhile */
  bool y_f32;         /* conv_s8_f32 */
  bool bounded; /* what IgemmKind.bounded() said */
} IgemmTile;

/* The function of a tile (t, mr), compiled for one pixel, as fully connected layers have it, and for IGEMM_MR. */
#define IGEMM_TILE(name, tile)                                                                     \
  static void name (const IgemmTile *t)                                                            \
  {                                                                                                \
    if (t->pixels == 1)                                                                            \
      tile (t, 1);                                                                                 \
    else                                                                                           \
      tile (t, IGEMM_MR);                                                                          \
  }

typedef struct Igemm Igemm;

typedef struct {
  void (*tile) (const IgemmTile *tile);
  int mr;          /* pixels of a tile; 0: IGEMM_MR */
  int element;     /* bytes of a value of x and w */
  int k_step;      /* values of a channel's weights that lie together */
  int k_round;     /* values of a row that are taken at once; 0: k_step */
  int tile_blocks; /* blocks that one call takes at most */
  int x_offset;    /* the tile adds it to x; accumulators start at -x_offset * sum (w) */
  int grain;       /* products that take a few microseconds; less is not worth a thread */
  bool plain;      /* the tile takes any number of pixels whose rows are plain (Igemm) */
  bool depthwise;
  const struct DwconvKind *lines; /* of int8 depthwise, where it fits: runs instead (dwconv.h) */
  const struct DwconvF32Kind *strips; /* the same of float (dwconv-f32.h) */
  /* Where a tile reads values wider than those of x: bytes of one, and the conversion. */
  int wide_element;
  void (*widen) (const void *x, int count, void *wide);
  /* Where a tile wants its rows in some order: copies those that have none to their places in
   * `memory`, [taps][mr] rows of g->row values, in which find_row() has put some of them. */
  void (*arrange) (const Igemm *g, int pixels, const void **rows, void *memory);
  /* Of int8, where a tile can make use of it: whether fmaf (acc, m[c], b[c]) is far within int32 for
   * every |acc| <= terms. */
  bool (*bounded) (const float *m, const float *b, int channels, float terms);
  /* Around the tiles of one task, on its thread. */
  void (*begin) (void);
  void (*end) (void);
} IgemmKind;

/* A convolution as a kind sees it. */
struct Igemm {
  const IgemmKind *kind;
  const KernelConvShape *shape;
  int mr;                     /* pixels of a tile */
  int groups;                 /* 1 for depthwise */
  int channels;               /* outputs of a group */
  int blocks;                 /* of a group */
  int span;                   /* input pixels of a row */
  int taps;                   /* rows of a window */
  int k;                      /* weights of one tap and channel */
  int run;                    /* k, rounded up to k_round */
  int row;                    /* values that a row must offer */
  bool plain;                 /* the row of an output pixel is the input pixel of the same number */
  bool gathered;              /* windows of few values are copied to one row each, for a plain tile */
  size_t block_size, pad_row; /* bytes of a block; offset of the row of padding */
  size_t packed_size;
};

/* The union of KernelConvS8 and KernelConvF32. */
typedef struct {
  const KernelConvShape *shape;
  const void *x, *w, *r;
  const float *m, *b;
  float mr, lo, hi;
  void *y, *scratch;
  int y_stride; /* values from pixel to pixel, of y and r: oc, or more where these are some of them */
  bool y_f32;
  int y_element;
} IgemmArgs;

/* Depthwise in the sense of IgemmKind: one input channel for every group. */
static inline bool
kernel_igemm_is_depthwise (const KernelConvShape *shape)
{
  return shape->groups == shape->ic && shape->groups > 1;
}

/* What a plain kind of float does: `tile`, which wants rows, for one tile of mr pixels after the
 * other where there are none. */
static inline void
kernel_igemm_tiles_f32 (const IgemmTile *t, int mr, void (*tile) (const IgemmTile *tile))
{
  const void *rows[IGEMM_MAX_MR];
  IgemmTile part = *t;

  if (t->rows) {
    tile (t);
    return;
  }
  part.rows = rows;
  for (int left = t->pixels; left > 0; left -= mr) {
    part.pixels = left < mr ? left : mr;
    for (int i = 0; i < mr; i++)
      rows[i] = (const uint8_t *) part.x + (i < left ? i : left - 1) * part.x_stride;
    tile (&part);
    part.x = (const uint8_t *) part.x + mr * part.x_stride;
    part.y = (float *) part.y + mr * part.y_stride;
    part.r = part.r ? (const float *) part.r + mr * part.y_stride : NULL;
  }
}

/* The dense kind of AVX-512 VNNI, for AMX to lean on. */
extern const IgemmKind kernel_igemm_s8_avx512vnni;
/* As IgemmKind.bounded(). */
bool kernel_bounded_avx512vnni (const float *m, const float *b, int channels, float terms);
/* Depthwise kinds, by instruction set. */
void kernel_dwconv_tile_s8_avx2 (const IgemmTile *tile);
extern const IgemmKind kernel_dwconv_s8_avx2, kernel_dwconv_s8_avx512vnni;
extern const IgemmKind kernel_dwconv_f32_avx2, kernel_dwconv_f32_avx512;
extern const IgemmKind kernel_dwconv_s8_neon, kernel_dwconv_f32_neon;

Igemm kernel_igemm (const IgemmKind *kind, const KernelConvShape *shape);

/* As KernelConvS8PackFn and KernelConvF32PackFn; zero is one value that a padded position has. */
size_t kernel_igemm_pack (const IgemmKind *kind, const KernelConvShape *shape, const void *zero,
    const void *w, void *packed);

/* The part of a thread's scratch that holds what `rows` point to. */
size_t kernel_igemm_rows_size (const Igemm *g);

/* An output pixel: its number; image, line and column, which do not move where rows are plain. */
typedef struct {
  size_t pixel;
  int n, oh, ow;
} IgemmCursor;
IgemmCursor kernel_igemm_cursor (const KernelConvShape *shape, size_t pixel);

/* Points rows[] at the windows of `pixels` outputs from the cursor on, and moves it behind them.
 * `memory` is kernel_igemm_rows_size() bytes. */
void kernel_igemm_rows (const Igemm *g, const void *x, const void *w, int group, int pixels,
    IgemmCursor *at, const void **rows, void *memory);

/* Copies the windows of `pixels` outputs from the cursor on, where g->gathered, to rows in memory, and
 * moves it behind them. A row has room for what its last piece writes too much. */
#define IGEMM_GATHERED_ROW(g) ((size_t) (g)->row * (g)->kind->element + IGEMM_PIECE)
void kernel_igemm_gather (const Igemm *g, const void *x, const void *w, int pixels, IgemmCursor *at,
    void *memory);

size_t kernel_igemm_scratch (const IgemmKind *kind, const KernelConvShape *shape,
    KernelQueue *queue);
void kernel_igemm_run (const IgemmKind *kind, const IgemmArgs *args, KernelQueue *queue);

/* The same for the arguments of the public kernels. */
void kernel_igemm_s8 (const IgemmKind *kind, const KernelConvS8 *args, bool y_f32,
    KernelQueue *queue);
void kernel_igemm_f32 (const IgemmKind *kind, const KernelConvF32 *args, KernelQueue *queue);

/* Which of the orders of igemm.c: pixels pass through all weights, or weights through all pixels. */
typedef enum {
  IGEMM_ORDER_LEAST, /* in which fewest bytes come from afar */
  IGEMM_ORDER_PIXELS,
  IGEMM_ORDER_CHANNELS,
} IgemmOrder;

typedef enum {
  IGEMM_THREADS_USEFUL, /* as many as have work worth handing over */
  IGEMM_THREADS_ALL,
  IGEMM_THREADS_HALF,
  IGEMM_THREADS_ONE,
} IgemmThreads;

/* A way to go through a dense convolution. */
typedef struct {
  const char *name; /* for people; engine files keep it */
  int tile_blocks;  /* of a tile, at most */
  int plain_rows;   /* bytes of plain rows that are read for one call of a tile after the other */
  IgemmOrder order;
  IgemmThreads threads;
  int tasks; /* per thread: who was late or slow does not keep the others waiting for long */
} IgemmWay;

/* That of the shape's tactic: 1 and 0 are the rule. NULL beyond the last; which there are depends on the
 * kind and the shape, images aside. */
const IgemmWay *kernel_igemm_way (const Igemm *g);
/* Blocks of its tiles. */
int kernel_igemm_tile_blocks (const Igemm *g, const IgemmWay *way);

/* How the work is cut: see igemm.c. */
typedef struct {
  int cuts;     /* of the blocks of a group: units of a tile */
  int chunks;   /* of a group */
  size_t units; /* all */
  int tasks;
} IgemmSplit;
IgemmSplit kernel_igemm_split (const Igemm *g, const IgemmWay *way, size_t tiles, int threads);

/* As KernelConvTacticFn. */
const char *kernel_igemm_tactic (const IgemmKind *kind, const KernelConvShape *shape, int tactic);

/* The slots of KernelOps that an instruction set serves, kernel_<slot>_<suffix>; kind_of (shape) chooses
 * between its kinds. */
/* clang-format off */
#define IGEMM_S8_SLOTS(suffix, kind_of)                                                            \
  size_t kernel_conv_s8_pack_##suffix (const KernelConvShape *shape, int8_t zero_x,                \
      const int8_t *w, void *packed)                                                               \
  {                                                                                                \
    return kernel_igemm_pack (kind_of (shape), shape, &zero_x, w, packed);                         \
  }                                                                                                \
  size_t kernel_conv_s8_scratch_##suffix (const KernelConvShape *shape, KernelQueue *queue)        \
  {                                                                                                \
    return kernel_igemm_scratch (kind_of (shape), shape, queue);                                   \
  }                                                                                                \
  void kernel_conv_s8_##suffix (const KernelConvS8 *args, KernelQueue *queue)                      \
  {                                                                                                \
    kernel_igemm_s8 (kind_of (&args->shape), args, false, queue);                                  \
  }                                                                                                \
  void kernel_conv_s8_f32_##suffix (const KernelConvS8 *args, KernelQueue *queue)                  \
  {                                                                                                \
    kernel_igemm_s8 (kind_of (&args->shape), args, true, queue);                                   \
  }                                                                                                \
  const char *kernel_conv_s8_tactic_##suffix (const KernelConvShape *shape, int tactic)            \
  {                                                                                                \
    return kernel_igemm_tactic (kind_of (shape), shape, tactic);                                   \
  }

#define IGEMM_F32_SLOTS(suffix, kind_of)                                                           \
  size_t kernel_conv_f32_pack_##suffix (const KernelConvShape *shape, const float *w,              \
      void *packed)                                                                                \
  {                                                                                                \
    return kernel_igemm_pack (kind_of (shape), shape, &(const float){0}, w, packed);               \
  }                                                                                                \
  size_t kernel_conv_f32_scratch_##suffix (const KernelConvShape *shape, KernelQueue *queue)       \
  {                                                                                                \
    return kernel_igemm_scratch (kind_of (shape), shape, queue);                                   \
  }                                                                                                \
  void kernel_conv_f32_##suffix (const KernelConvF32 *args, KernelQueue *queue)                    \
  {                                                                                                \
    kernel_igemm_f32 (kind_of (&args->shape), args, queue);                                        \
  }                                                                                                \
  const char *kernel_conv_f32_tactic_##suffix (const KernelConvShape *shape, int tactic)           \
  {                                                                                                \
    return kernel_igemm_tactic (kind_of (shape), shape, tactic);                                   \
  }
/* clang-format on */
