/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load.c: finds and loads the module with the back end "cuda:N". Part of every build.
 */
#include "kernels/backend.h"
#include "kernels/cuda/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* Of "cuda", "cuda:N" or "cuda:N@ADDRESS"; the name begins so. context: NULL without an address. */
static bool
parse_name (const char *name, int *device, void **context)
{
  const char *digits = strchr (name, ':');
  size_t count;

  *device = 0;
  *context = NULL;
  if (!digits)
    return strcmp (name, "cuda") == 0;
  count = strspn (++digits, "0123456789");
  if (count < 1 || count > 3 || (digits[count] != '\0' && digits[count] != '@'))
    return false;
  *device = atoi (digits);
  if (digits[count] == '\0')
    return true;
  digits += count + 1;
  count = strspn (digits, "0123456789abcdef");
  if (count < 1 || count > 2 * sizeof (uintptr_t) || digits[count] != '\0')
    return false;
  *context = (void *) (uintptr_t) strtoull (digits, NULL, 16);
  return *context != NULL;
}

/* The folder of the program or library that holds this function, or "." */
static void
own_folder (char *folder, size_t size)
{
  Dl_info info;
  const char *slash = NULL;

  if (dladdr ((void *) (intptr_t) own_folder, &info) && info.dli_fname)
    slash = strrchr (info.dli_fname, '/');
  if (slash)
    snprintf (folder, size, "%.*s", (int) (slash - info.dli_fname), info.dli_fname);
  else
    snprintf (folder, size, ".");
}

/* Not in the plugin's own folder, where GStreamer would take it for a plugin, but in gst-int8 beside
 * it, which works wherever the tree lies; a program looks where it was installed to. */
static bool
find_module (char *path, size_t size, char *why, size_t why_size)
{
  const char *chosen = getenv ("INT8_CUDA_MODULE");
  char folder[PATH_SIZE];
  int used;

  if (chosen) {
    used = snprintf (path, size, "%s", chosen);
    if (used < (int) size && access (path, R_OK) == 0)
      return true;
    snprintf (why, why_size, "INT8_CUDA_MODULE names %s, which cannot be read: %s", chosen,
        used < (int) size ? strerror (errno) : strerror (ENAMETOOLONG));
    return false;
  }
  own_folder (folder, sizeof folder);
  used = snprintf (path, size, "%s/../gst-int8/%s", folder, KERNEL_CUDA_MODULE);
  if (used < (int) size && access (path, R_OK) == 0)
    return true;
  snprintf (path, size, "%s/%s", KERNEL_MODULE_FOLDER, KERNEL_CUDA_MODULE);
  if (access (path, R_OK) == 0)
    return true;
  snprintf (why, why_size,
      "the module %s is not installed: it is neither in %s nor in %s/../gst-int8; install it, set "
      "INT8_CUDA_MODULE to its path, or use \"cpu\"",
      KERNEL_CUDA_MODULE, KERNEL_MODULE_FOLDER, folder);
  return false;
}

KernelBackend *
kernel_open_cuda (const char *name, char *why, size_t why_size)
{
  char path[PATH_SIZE + 64];
  KernelCudaOpenFn open;
  void *module, *context;
  int device;

  if (!parse_name (name, &device, &context)) {
    snprintf (why, why_size, "\"%s\" is not a CUDA device; the names are cuda, cuda:0, cuda:1 ...",
        name);
    return NULL;
  }
  if (!find_module (path, sizeof path, why, why_size))
    return NULL;
  module = dlopen (path, RTLD_NOW | RTLD_LOCAL); /* stays: kernels cannot be unloaded safely */
  if (!module) {
    snprintf (why, why_size, "the CUDA module does not load: %s", dlerror ());
    return NULL;
  }
  open = (KernelCudaOpenFn) (intptr_t) dlsym (module, KERNEL_CUDA_OPEN);
  if (!open) {
    snprintf (why, why_size, "%s is not the CUDA module: it has no %s", path, KERNEL_CUDA_OPEN);
    return NULL;
  }
  return open (INT8_VERSION, device, context, why, why_size);
}
