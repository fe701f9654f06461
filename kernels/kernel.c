/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel.c: opening a back end by its name, and what no back end owns.
 */
#include "kernels/backend.h"

#include <stdio.h>
#include <string.h>

KernelBackend *
kernel_open (const char *name, char *why, size_t why_size)
{
  if (strcmp (name, "ref") == 0)
    return kernel_open_ref (why, why_size);
  if (strcmp (name, "cpu") == 0)
    return kernel_open_cpu (why, why_size);
  if (strcmp (name, "cuda") == 0 || strncmp (name, "cuda:", 5) == 0)
    return kernel_open_cuda (name, why, why_size);
  snprintf (why, why_size, "there is no back end \"%s\"; the names are ref, cpu, cuda and cuda:N",
      name);
  return NULL;
}

void
kernel_close (KernelBackend *backend)
{
  if (backend)
    backend->close (backend);
}
