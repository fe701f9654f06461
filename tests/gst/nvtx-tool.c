/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nvtx-tool.c: see nvtx-tool.h. */
#include "tests/gst/nvtx-tool.h"

#include <nvtx3/nvToolsExt.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 8
#define MAX_PATHS 32
#define MAX_TEXT  128

#define EXPORTED __attribute__ ((visibility ("default")))

EXPORTED NvtxToolCountsFunction nvtx_tool_counts;
EXPORTED int InitializeInjectionNvtx2 (NvtxGetExportTableFunc_t get_table);

static _Thread_local const char *stack[MAX_DEPTH];
static _Thread_local int depth;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  char path[MAX_TEXT];
  unsigned ended;
} paths[MAX_PATHS];
static unsigned n_open, n_unopened;

/* lock held */
static void
count_locked (const char *path)
{
  int i = 0;

  while (i < MAX_PATHS && *paths[i].path && strcmp (paths[i].path, path) != 0)
    i++;
  if (i == MAX_PATHS) {
    n_unopened++;
    return;
  }
  snprintf (paths[i].path, sizeof paths[i].path, "%s", path);
  paths[i].ended++;
}

static int NVTX_API
push (const char *name)
{
  pthread_mutex_lock (&lock);
  n_open++;
  n_unopened += depth >= MAX_DEPTH;
  pthread_mutex_unlock (&lock);
  if (depth < MAX_DEPTH)
    stack[depth] = name;
  return depth++;
}

static int NVTX_API
pop (void)
{
  char path[MAX_TEXT] = "";
  size_t length = 0;

  for (int i = 0; i < depth && i < MAX_DEPTH && length < sizeof path; i++)
    length +=
        (size_t) snprintf (path + length, sizeof path - length, "%s%s", i > 0 ? "/" : "", stack[i]);
  pthread_mutex_lock (&lock);
  if (depth > 0) {
    count_locked (path);
    n_open--;
    depth--;
  } else {
    n_unopened++;
  }
  pthread_mutex_unlock (&lock);
  return depth;
}

NvtxToolCounts
nvtx_tool_counts (const char *path)
{
  NvtxToolCounts counts = {0};

  pthread_mutex_lock (&lock);
  for (int i = 0; i < MAX_PATHS; i++)
    if (!path || strcmp (paths[i].path, path) == 0)
      counts.ended += paths[i].ended;
  counts.open = n_open;
  counts.unopened = n_unopened;
  pthread_mutex_unlock (&lock);
  return counts;
}

/* NVTX calls it once, before the first range. 1: this tool listens. */
int
InitializeInjectionNvtx2 (NvtxGetExportTableFunc_t get_table)
{
  const NvtxExportTableCallbacks *callbacks = get_table (NVTX_ETID_CALLBACKS);
  NvtxFunctionTable functions = NULL;
  unsigned n = 0;

  if (!callbacks || !callbacks->GetModuleFunctionTable (NVTX_CB_MODULE_CORE, &functions, &n) ||
      n <= NVTX_CBID_CORE_RangePop)
    return 0;
  *functions[NVTX_CBID_CORE_RangePushA] = (NvtxFunctionPointer) push;
  *functions[NVTX_CBID_CORE_RangePop] = (NvtxFunctionPointer) pop;
  return 1;
}
