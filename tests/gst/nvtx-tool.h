/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nvtx-tool.h: what a profiler would be told through NVTX, counted: a library that NVTX loads because
 * NVTX_INJECTION64_PATH names it. Ranges are known by their path in their thread: "int8 batch/int8 run".
 */
#pragma once

/* The function "nvtx_tool_counts" of the library. */
typedef struct {
  unsigned ended; /* ranges of that path; NULL: of any */
  unsigned open;  /* ranges of all threads that have begun and not ended */
  unsigned
      unopened; /* ends without a beginning, and beginnings that were too deep or too many to be kept */
} NvtxToolCounts;
typedef NvtxToolCounts NvtxToolCountsFunction (const char *path);
