/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backend.cu: opening a device, its memory, and its context.
 *
 * Everything runs in one context, the device's primary one or another that the caller names. It is
 * pushed when a function begins and popped when it ends: any thread may call, whatever context it
 * has made current for itself. The runtime, too, works in the context that is current.
 */
#include "kernels/cuda/conv-cudnn.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the driver itself: the runtime, which is linked statically, has no stack of contexts. */
typedef struct {
  CUresult (*push) (CUcontext context);
  CUresult (*pop) (CUcontext *context);
  CUresult (*retain) (CUcontext *context, CUdevice device);
  CUresult (*release) (CUdevice device);
  CUresult (*device_of) (CUdevice *device); /* of the current context */
} Driver;

static Driver driver;
static char driver_why[320]; /* what is missing, or "" */

static void
load_driver (void)
{
  void *library = dlopen ("libcuda.so.1", RTLD_NOW | RTLD_LOCAL); /* stays: the runtime uses it */

  if (!library) {
    snprintf (driver_why, sizeof driver_why,
        "there is no NVIDIA driver (%s); install it, or give this container or user access to the "
        "device, or use \"cpu\"",
        dlerror ());
    return;
  }
  driver.push = (CUresult (*) (CUcontext)) dlsym (library, "cuCtxPushCurrent_v2");
  driver.pop = (CUresult (*) (CUcontext *)) dlsym (library, "cuCtxPopCurrent_v2");
  driver.retain =
      (CUresult (*) (CUcontext *, CUdevice)) dlsym (library, "cuDevicePrimaryCtxRetain");
  driver.release = (CUresult (*) (CUdevice)) dlsym (library, "cuDevicePrimaryCtxRelease_v2");
  driver.device_of = (CUresult (*) (CUdevice *)) dlsym (library, "cuCtxGetDevice");
  if (!driver.push || !driver.pop || !driver.retain || !driver.release || !driver.device_of)
    snprintf (driver_why, sizeof driver_why,
        "the NVIDIA driver's libcuda.so.1 is too old; update the driver");
}

static bool
have_driver (char *why, size_t why_size)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, load_driver);
  if (driver_why[0] != '\0')
    snprintf (why, why_size, "%s", driver_why);
  return driver_why[0] == '\0';
}

bool
kernel_cuda_enter (CudaBackend *cuda, KernelQueue *queue)
{
  if (driver.push (cuda->context) == CUDA_SUCCESS)
    return true;
  if (queue)
    kernel_cuda_check (queue, "making the device current", cudaErrorDeviceUninitialized);
  return false;
}

void
kernel_cuda_leave (CudaBackend *cuda)
{
  CUcontext popped;

  driver.pop (&popped);
}

/* --- Memory --------------------------------------------------------------------------------- */

static void *
cuda_alloc (KernelBackend *backend, size_t size)
{
  CudaBackend *cuda = (CudaBackend *) backend;
  void *memory = NULL;

  if (!kernel_cuda_enter (cuda, NULL))
    return NULL;
  if (cudaMalloc (&memory, size > 0 ? size : 1) != cudaSuccess) {
    (void) cudaGetLastError (); /* NULL says it */
    memory = NULL;
  }
  kernel_cuda_leave (cuda);
  return memory;
}

/* Waits for the device, so that nothing queued still uses the memory. */
static void
cuda_free (KernelBackend *backend, void *memory)
{
  CudaBackend *cuda = (CudaBackend *) backend;

  if (!memory || !kernel_cuda_enter (cuda, NULL))
    return;
  cudaFree (memory);
  (void) cudaGetLastError (); /* of kernels before: their queue tells */
  kernel_cuda_leave (cuda);
}

/* Page-locked: the device reads and writes it itself, without a copy in between. */
static void *
cuda_host_alloc (KernelBackend *backend, size_t size)
{
  CudaBackend *cuda = (CudaBackend *) backend;
  void *memory = NULL;

  if (!kernel_cuda_enter (cuda, NULL))
    return NULL;
  if (cudaHostAlloc (&memory, size > 0 ? size : 1, cudaHostAllocDefault) != cudaSuccess) {
    (void) cudaGetLastError (); /* NULL says it */
    memory = NULL;
  }
  kernel_cuda_leave (cuda);
  return memory;
}

static void
cuda_host_free (KernelBackend *backend, void *memory)
{
  CudaBackend *cuda = (CudaBackend *) backend;

  if (!memory || !kernel_cuda_enter (cuda, NULL))
    return;
  cudaFreeHost (memory);
  (void) cudaGetLastError (); /* of kernels before: their queue tells */
  kernel_cuda_leave (cuda);
}

/* --- Opening -------------------------------------------------------------------------------- */

static bool
take_context (CudaBackend *cuda, void *context, char *why, size_t why_size)
{
  CUdevice device = -1;
  CUresult found = CUDA_SUCCESS;

  cuda->context = (CUcontext) context;
  cuda->primary = context == NULL;
  if (cuda->primary) {
    if (driver.retain (&cuda->context, cuda->device) == CUDA_SUCCESS)
      return true;
    snprintf (why, why_size,
        "CUDA device %d (%s) gives no context; it may be out of memory or reserved: see nvidia-smi",
        cuda->device, cuda->description);
    return false;
  }
  if (kernel_cuda_enter (cuda, NULL)) {
    found = driver.device_of (&device);
    kernel_cuda_leave (cuda);
  }
  if (found == CUDA_SUCCESS && device == cuda->device)
    return true;
  snprintf (why, why_size, "the CUDA context that was named is not one of CUDA device %d",
      cuda->device);
  return false;
}

static void
release_context (CudaBackend *cuda)
{
  if (cuda->primary)
    driver.release (cuda->device);
}

static void
cuda_close (KernelBackend *backend)
{
  CudaBackend *cuda = (CudaBackend *) backend;

  if (cuda->cudnn && kernel_cuda_enter (cuda, NULL)) {
    kernel_cuda_cudnn_close (cuda);
    kernel_cuda_leave (cuda);
  }
  release_context (cuda);
  free (cuda);
}

/* Any kernel of the module tells whether it has code for a device. */
static __global__ void
probe (void)
{
}

static bool
find_device (CudaBackend *cuda, char *why, size_t why_size)
{
  cudaDeviceProp properties;
  int count = 0, supported = 0;
  cudaError_t error = cudaGetDeviceCount (&count);

  if (error == cudaErrorInsufficientDriver) {
    cudaDriverGetVersion (&supported);
    snprintf (why, why_size,
        "the NVIDIA driver supports CUDA %d.%d, and this build needs %d.%d; update the driver",
        supported / 1000, supported / 10 % 100, CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100);
    return false;
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && cuda->device >= count)) {
    snprintf (why, why_size,
        "there is no CUDA device %d: the driver shows %d; see nvidia-smi and CUDA_VISIBLE_DEVICES",
        cuda->device, count);
    return false;
  }
  if (error == cudaSuccess)
    error = cudaGetDeviceProperties (&properties, cuda->device);
  if (error != cudaSuccess) {
    snprintf (why, why_size, "CUDA device %d cannot be used: %s (%s); see nvidia-smi", cuda->device,
        cudaGetErrorString (error), cudaGetErrorName (error));
    return false;
  }
  cuda->capability = properties.major * 10 + properties.minor;
  cuda->multiprocessors = properties.multiProcessorCount;
  cuda->shared_memory = (int) properties.sharedMemPerBlockOptin;
  snprintf (cuda->name, sizeof cuda->name, "cuda:%d", cuda->device);
  snprintf (cuda->description, sizeof cuda->description, "%.100s, compute capability %d.%d",
      properties.name, properties.major, properties.minor);
  return true;
}

/* What the code was compiled for decides which kernels there are: a device may have compiled the PTX
 * of an earlier one, without the instructions that are its own. */
static void
take_code (CudaBackend *cuda, int compiled_for)
{
  const int code = compiled_for < cuda->capability ? compiled_for : cuda->capability;
  const size_t used = strlen (cuda->description);

  cuda->sm = kernel_cuda_conv_level (code);
  if (cuda->sm != kernel_cuda_conv_level (cuda->capability))
    snprintf (cuda->description + used, sizeof cuda->description - used,
        ", with the kernels of %d.%d: slower than with meson's -Dcuda-archs=%d", code / 10,
        code % 10, cuda->capability);
}

static bool
take_device (CudaBackend *cuda, void *context, char *why, size_t why_size)
{
  cudaError_t error = cudaErrorDeviceUninitialized;
  cudaFuncAttributes attributes;

  if (!take_context (cuda, context, why, why_size))
    return false;
  if (kernel_cuda_enter (cuda, NULL)) {
    error = cudaFuncGetAttributes (&attributes, probe);
    (void) cudaGetLastError ();
    kernel_cuda_leave (cuda);
  }
  if (error == cudaSuccess) {
    take_code (cuda, attributes.ptxVersion);
    return true;
  }
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion ||
      error == cudaErrorInvalidDeviceFunction)
    snprintf (why, why_size,
        "%s has code for " INT8_CUDA_CODES " and none for CUDA device %d (%s); build it with "
        "meson's -Dcuda-archs=%d",
        KERNEL_CUDA_MODULE, cuda->device, cuda->description, cuda->capability);
  else
    snprintf (why, why_size, "CUDA device %d (%s) failed: %s (%s)", cuda->device, cuda->description,
        cudaGetErrorString (error), cudaGetErrorName (error));
  release_context (cuda);
  return false;
}

static void
fill_backend (CudaBackend *cuda)
{
  kernel_cuda_fill_ops (&cuda->ops, cuda->sm);
  cuda->backend.name = cuda->name;
  cuda->backend.description = cuda->description;
  cuda->backend.ops = &cuda->ops;
  cuda->backend.host_memory = false;
  cuda->backend.alloc = cuda_alloc;
  cuda->backend.free = cuda_free;
  cuda->backend.host_alloc = cuda_host_alloc;
  cuda->backend.host_free = cuda_host_free;
  cuda->backend.queue_new = kernel_cuda_queue_new;
  cuda->backend.queue_free = kernel_cuda_queue_free;
  cuda->backend.queue_wait = kernel_cuda_queue_wait;
  cuda->backend.upload = kernel_cuda_upload;
  cuda->backend.download = kernel_cuda_download;
  cuda->backend.record_begin = kernel_cuda_record_begin;
  cuda->backend.record_end = kernel_cuda_record_end;
  cuda->backend.replay = kernel_cuda_replay;
  cuda->backend.recording_free = kernel_cuda_recording_free;
  cuda->backend.marks = kernel_cuda_marks;
  cuda->backend.mark = kernel_cuda_mark;
  cuda->backend.mark_seconds = kernel_cuda_mark_seconds;
  cuda->backend.limits = kernel_cuda_limits;
  cuda->backend.close = cuda_close;
}

extern "C" __attribute__ ((visibility ("default"))) KernelBackend *
kernel_cuda_open (const char *version, int device, void *context, char *why, size_t why_size)
{
  CudaBackend *cuda;

  if (strcmp (version, INT8_VERSION) != 0) {
    snprintf (why, why_size, "%s is of version %s and its caller of %s; install both anew",
        KERNEL_CUDA_MODULE, INT8_VERSION, version);
    return NULL;
  }
  cuda = (CudaBackend *) calloc (1, sizeof *cuda);
  if (!cuda) {
    snprintf (why, why_size, "out of memory");
    return NULL;
  }
  cuda->device = device;
  if (!have_driver (why, why_size) || !find_device (cuda, why, why_size) ||
      !take_device (cuda, context, why, why_size)) {
    free (cuda);
    return NULL;
  }
  kernel_cuda_cudnn_open (cuda);
  snprintf (cuda->description + strlen (cuda->description),
      sizeof cuda->description - strlen (cuda->description), ", %s", kernel_cuda_cudnn_about ());
  fill_backend (cuda);
  return &cuda->backend;
}
