/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-api.h: cuDNN's graph API, loaded at run time: the module needs no cuDNN, and without one the
 * convolutions of conv-cudnn.cu are not offered.
 *
 * INT8_CUDNN in the environment is the path of the library, or "no": none. Else it is libcudnn.so.9
 * where the dynamic linker finds it.
 */
#pragma once

#include <cudnn_backend.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUDNN_FUNCTIONS(F)                                                                         \
  F (cudnnGetVersion)                                                                              \
  F (cudnnGetErrorString)                                                                          \
  F (cudnnGetLastErrorString)                                                                      \
  F (cudnnCreate)                                                                                  \
  F (cudnnDestroy)                                                                                 \
  F (cudnnSetStream)                                                                               \
  F (cudnnBackendCreateDescriptor)                                                                 \
  F (cudnnBackendDestroyDescriptor)                                                                \
  F (cudnnBackendFinalize)                                                                         \
  F (cudnnBackendSetAttribute)                                                                     \
  F (cudnnBackendGetAttribute)                                                                     \
  F (cudnnBackendExecute)

typedef struct {
#define DECLARE(name) __typeof__ (name) *name;
  CUDNN_FUNCTIONS (DECLARE)
#undef DECLARE
} CudnnApi;

/* NULL where there is none; the same for the life of the process. Thread-safe. */
const CudnnApi *kernel_cudnn_api (void);
/* "cuDNN 9.19.0", or "no cuDNN", with the reason where that is not just its absence. */
const char *kernel_cudnn_about (void);

#ifdef __cplusplus
}
#endif
