/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.cu: a queue is a stream and the first error in it; a recording is a CUDA graph; a mark is an event.
 */
#include "kernels/cuda/conv-cudnn.h"
#include "kernels/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct KernelRecording {
  cudaGraphExec_t graph;
};

void
kernel_cuda_check (KernelQueue *queue, const char *what, cudaError_t error)
{
  if (error == cudaSuccess || queue->failure[0] != '\0')
    return;
  snprintf (queue->failure, sizeof queue->failure, "%s: %s (%s)", what, cudaGetErrorString (error),
      cudaGetErrorName (error));
}

KernelQueue *
kernel_cuda_queue_new (KernelBackend *backend, int threads)
{
  CudaBackend *cuda = (CudaBackend *) backend;
  KernelQueue *queue = (KernelQueue *) calloc (1, sizeof *queue);

  if (!queue)
    return NULL;
  queue->cuda = cuda;
  queue->last = "no kernel";
  if (!kernel_cuda_enter (cuda, queue)) {
    free (queue);
    return NULL;
  }
  if (cudaStreamCreateWithFlags (&queue->stream, cudaStreamNonBlocking) != cudaSuccess) {
    (void) cudaGetLastError (); /* NULL says it */
    free (queue);
    queue = NULL;
  }
  kernel_cuda_leave (cuda);
  return queue;
}

void
kernel_cuda_queue_free (KernelQueue *queue)
{
  CudaBackend *cuda = queue ? queue->cuda : NULL;

  if (!queue)
    return;
  if (kernel_cuda_enter (cuda, queue)) {
    cudaStreamSynchronize (queue->stream); /* there is nobody left to be told of a failure */
    kernel_cuda_cudnn_queue_free (queue);
    cudaStreamDestroy (queue->stream);
    for (int i = 0; i < queue->n_marks; i++)
      cudaEventDestroy (queue->marks[i]);
    (void) cudaGetLastError ();
    kernel_cuda_leave (cuda);
  }
  free (queue->marks);
  free (queue);
}

const char *
kernel_cuda_queue_wait (KernelQueue *queue)
{
  if (kernel_cuda_enter (queue->cuda, queue)) {
    const cudaError_t error = cudaStreamSynchronize (queue->stream);
    char what[96];

    /* A fault inside a kernel shows when the device has met it, which is later. */
    snprintf (what, sizeof what, "a kernel or copy before or at %s, the last one queued",
        queue->last);
    kernel_cuda_check (queue, what, error);
    (void) cudaGetLastError ();
    kernel_cuda_leave (queue->cuda);
  }
  if (queue->failure[0] == '\0')
    return NULL;
  memcpy (queue->told, queue->failure, sizeof queue->told);
  queue->failure[0] = '\0';
  return queue->told;
}

static void
copy (KernelQueue *queue, const char *what, void *to, const void *from, size_t size,
    cudaMemcpyKind kind)
{
  if (size == 0 || queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))
    return;
  queue->last = what;
  kernel_cuda_check (queue, what, cudaMemcpyAsync (to, from, size, kind, queue->stream));
  kernel_cuda_leave (queue->cuda);
}

void
kernel_cuda_upload (KernelQueue *queue, void *device, const void *host, size_t size)
{
  copy (queue, "upload", device, host, size, cudaMemcpyHostToDevice);
}

void
kernel_cuda_download (KernelQueue *queue, void *host, const void *device, size_t size)
{
  copy (queue, "download", host, device, size, cudaMemcpyDeviceToHost);
}

/* --- Recordings ----------------------------------------------------------------------------- */

/* Relaxed: what other threads do at the same time, such as allocating, disturbs no recording. */
void
kernel_cuda_record_begin (KernelQueue *queue)
{
  if (queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))
    return;
  kernel_cuda_check (queue, "record_begin",
      cudaStreamBeginCapture (queue->stream, cudaStreamCaptureModeRelaxed));
  queue->recording = queue->failure[0] == '\0';
  kernel_cuda_leave (queue->cuda);
}

static KernelRecording *
instantiate (KernelQueue *queue, cudaGraph_t graph)
{
  KernelRecording *recording = (KernelRecording *) calloc (1, sizeof *recording);

  if (!recording) {
    kernel_cuda_check (queue, "record_end", cudaErrorMemoryAllocation);
    return NULL;
  }
  kernel_cuda_check (queue, "record_end", cudaGraphInstantiate (&recording->graph, graph, 0));
  if (queue->failure[0] == '\0') /* now, not in the first replay */
    kernel_cuda_check (queue, "record_end", cudaGraphUpload (recording->graph, queue->stream));
  if (queue->failure[0] == '\0')
    return recording;
  if (recording->graph)
    cudaGraphExecDestroy (recording->graph);
  free (recording);
  return NULL;
}

KernelRecording *
kernel_cuda_record_end (KernelQueue *queue)
{
  KernelRecording *recording = NULL;
  cudaGraph_t graph = NULL;

  if (!queue->recording || !kernel_cuda_enter (queue->cuda, queue))
    return NULL;
  queue->recording = false;
  kernel_cuda_check (queue, "record_end", cudaStreamEndCapture (queue->stream, &graph));
  if (queue->failure[0] == '\0') /* a kernel that failed is missing from the graph */
    recording = instantiate (queue, graph);
  if (graph)
    cudaGraphDestroy (graph);
  (void) cudaGetLastError ();
  kernel_cuda_leave (queue->cuda);
  return recording;
}

void
kernel_cuda_replay (KernelQueue *queue, KernelRecording *recording)
{
  if (queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))
    return;
  queue->last = "replay";
  kernel_cuda_check (queue, "replay", cudaGraphLaunch (recording->graph, queue->stream));
  kernel_cuda_leave (queue->cuda);
}

void
kernel_cuda_recording_free (KernelQueue *queue, KernelRecording *recording)
{
  if (!recording)
    return;
  if (kernel_cuda_enter (queue->cuda, queue)) {
    cudaStreamSynchronize (queue->stream); /* it may still run; wait reports what failed */
    cudaGraphExecDestroy (recording->graph);
    (void) cudaGetLastError ();
    kernel_cuda_leave (queue->cuda);
  }
  free (recording);
}

/* --- Marks ---------------------------------------------------------------------------------- */

bool
kernel_cuda_marks (KernelQueue *queue, int count)
{
  cudaEvent_t *marks;

  if (count <= queue->n_marks)
    return true;
  marks = (cudaEvent_t *) realloc (queue->marks, (size_t) count * sizeof *marks);
  if (!marks)
    return false;
  queue->marks = marks;
  if (!kernel_cuda_enter (queue->cuda, queue))
    return false;
  while (queue->n_marks < count && cudaEventCreate (&marks[queue->n_marks]) == cudaSuccess)
    queue->n_marks++;
  (void) cudaGetLastError (); /* false says it */
  kernel_cuda_leave (queue->cuda);
  return queue->n_marks == count;
}

/* External: recorded, it would else only order the recording's own nodes. */
void
kernel_cuda_mark (KernelQueue *queue, int mark)
{
  const unsigned flags = queue->recording ? cudaEventRecordExternal : cudaEventRecordDefault;

  if (queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))
    return;
  kernel_cuda_check (queue, "mark",
      cudaEventRecordWithFlags (queue->marks[mark], queue->stream, flags));
  kernel_cuda_leave (queue->cuda);
}

double
kernel_cuda_mark_seconds (KernelQueue *queue, int from, int to)
{
  float milliseconds = 0;

  if (queue->failure[0] != '\0' || !kernel_cuda_enter (queue->cuda, queue))
    return 0;
  kernel_cuda_check (queue, "mark_seconds",
      cudaEventElapsedTime (&milliseconds, queue->marks[from], queue->marks[to]));
  kernel_cuda_leave (queue->cuda);
  return 1e-3 * milliseconds;
}
