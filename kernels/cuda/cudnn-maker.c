/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cudnn-maker.c: see cudnn-maker.h. */
#include "kernels/cuda/cudnn-maker.h"

#include <stdio.h>
#include <string.h>

void
kernel_cudnn_note (CudnnMaker *maker, const char *what, cudnnStatus_t status)
{
  if (maker->status != CUDNN_STATUS_SUCCESS || status == CUDNN_STATUS_SUCCESS)
    return;
  maker->status = status;
  maker->where = what;
}

bool
kernel_cudnn_failed (const CudnnMaker *maker)
{
  return maker->status != CUDNN_STATUS_SUCCESS;
}

cudnnBackendDescriptor_t
kernel_cudnn_make (CudnnMaker *maker, cudnnBackendDescriptorType_t type)
{
  cudnnBackendDescriptor_t descriptor = NULL;

  if (kernel_cudnn_failed (maker))
    return NULL;
  if (maker->n_made == CUDNN_MAX_DESCRIPTORS)
    kernel_cudnn_note (maker, "making a descriptor",
        CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
  else
    kernel_cudnn_note (maker, "making a descriptor",
        maker->api->cudnnBackendCreateDescriptor (type, &descriptor));
  if (descriptor)
    maker->made[maker->n_made++] = descriptor;
  return descriptor;
}

void
kernel_cudnn_set (CudnnMaker *maker, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
    const void *values)
{
  if (!kernel_cudnn_failed (maker))
    kernel_cudnn_note (maker, "setting an attribute",
        maker->api->cudnnBackendSetAttribute (descriptor, name, type, count, values));
}

void
kernel_cudnn_set_descriptor (CudnnMaker *maker, cudnnBackendDescriptor_t descriptor,
    cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
  kernel_cudnn_set (maker, descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

void
kernel_cudnn_finalise (CudnnMaker *maker, const char *what, cudnnBackendDescriptor_t descriptor)
{
  if (!kernel_cudnn_failed (maker))
    kernel_cudnn_note (maker, what, maker->api->cudnnBackendFinalize (descriptor));
}

void
kernel_cudnn_clear (CudnnMaker *maker)
{
  while (maker->n_made > 0)
    maker->api->cudnnBackendDestroyDescriptor (maker->made[--maker->n_made]);
}

/* What failed, as cuDNN tells it. */
void
kernel_cudnn_explain (const CudnnMaker *maker, char *why, size_t why_size)
{
  char detail[160] = "";

  maker->api->cudnnGetLastErrorString (detail, sizeof detail);
  detail[strcspn (detail, "\n")] = '\0';
  snprintf (why, why_size, "%s: %s%s%s", maker->where,
      maker->api->cudnnGetErrorString (maker->status), detail[0] ? ", " : "", detail);
}
