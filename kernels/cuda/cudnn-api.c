/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cudnn-api.c: see cudnn-api.h. */
#include "kernels/cuda/cudnn-api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libcudnn.so.9"

static CudnnApi api;
static bool found;
static char about[256];

static bool
find_functions (void *library)
{
  const char *missing = NULL;

#define FIND(name)                                                                                 \
  api.name = (__typeof__ (api.name)) dlsym (library, #name);                                       \
  missing = api.name ? missing : #name;
  CUDNN_FUNCTIONS (FIND)
#undef FIND

  if (missing)
    snprintf (about, sizeof about, "no cuDNN (there is one without %s; version 9 is needed)",
        missing);
  return !missing;
}

static void
load (void)
{
  const char *chosen = getenv ("INT8_CUDNN");
  void *library;
  size_t version;

  if (chosen && strcmp (chosen, "no") == 0) {
    snprintf (about, sizeof about, "no cuDNN (INT8_CUDNN says so)");
    return;
  }
  library = dlopen (chosen ? chosen : LIBRARY, RTLD_NOW | RTLD_LOCAL); /* stays: plans use it */
  if (!library) {
    if (chosen)
      snprintf (about, sizeof about, "no cuDNN (INT8_CUDNN: %s)", dlerror ());
    else
      snprintf (about, sizeof about, "no cuDNN");
    return;
  }
  if (!find_functions (library))
    return;
  version = api.cudnnGetVersion ();
  snprintf (about, sizeof about, "cuDNN %zu.%zu.%zu", version / 10000, version / 100 % 100,
      version % 100);
  found = true;
}

static void
load_once (void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, load);
}

const CudnnApi *
kernel_cudnn_api (void)
{
  load_once ();
  return found ? &api : NULL;
}

const char *
kernel_cudnn_about (void)
{
  load_once ();
  return about;
}
