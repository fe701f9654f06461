/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cudnn-plans.c: see cudnn-plans.h.
 *
 * Plans are made with a handle and a stream of their own: a queue may be recording meanwhile. One
 * lock serves everything; it is held while a plan is made, and nobody who runs can want another.
 */
#include "kernels/cuda/cudnn-plans.h"

#include "kernels/cuda/conv-cudnn.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CHOICES     12
#define WORKSPACE_TENSOR ((size_t) 8 << 20) /* of plans on tensor cores */
#define WORKSPACE_EXTRA  ((size_t) 1 << 20)
#define WORKSPACE_FLOAT  ((size_t) 2 << 30)

typedef enum { UNTRIED, READY, REFUSED } State;

typedef struct Entry Entry;
struct Entry {
  Entry *next;
  CudnnConv conv;
  CudnnChoices *choices; /* NULL: cuDNN does not know the graph */
  struct {
    State state;
    CudnnPlan plan;
  } ranks[CUDNN_RANKS];
};

typedef struct Prepared Prepared;
struct Prepared {
  Prepared *next;
  KernelConvShape shape;
};

struct CudnnCache {
  pthread_mutex_t lock;
  cudnnHandle_t handle; /* NULL until something is prepared */
  cudaStream_t stream;
  Entry *entries;
  Prepared *prepared;
};

/* --- The cache ------------------------------------------------------------------------------ */

void
kernel_cuda_cudnn_open (CudaBackend *cuda)
{
  if (!kernel_cudnn_api ())
    return;
  cuda->cudnn = calloc (1, sizeof *cuda->cudnn);
  if (cuda->cudnn)
    pthread_mutex_init (&cuda->cudnn->lock, NULL);
}

const char *
kernel_cuda_cudnn_about (void)
{
  return kernel_cudnn_about ();
}

static void
free_entry (Entry *entry)
{
  for (int i = 0; i < CUDNN_RANKS; i++)
    kernel_cudnn_plan_clear (&entry->ranks[i].plan);
  kernel_cudnn_choices_free (entry->choices);
  free (entry);
}

void
kernel_cuda_cudnn_close (CudaBackend *cuda)
{
  CudnnCache *cache = cuda->cudnn;

  if (!cache)
    return;
  while (cache->entries) {
    Entry *entry = cache->entries;

    cache->entries = entry->next;
    free_entry (entry);
  }
  while (cache->prepared) {
    Prepared *prepared = cache->prepared;

    cache->prepared = prepared->next;
    free (prepared);
  }
  if (cache->handle) {
    kernel_cudnn_api ()->cudnnDestroy (cache->handle);
    cudaStreamDestroy (cache->stream);
  }
  pthread_mutex_destroy (&cache->lock);
  free (cache);
  cuda->cudnn = NULL;
}

void
kernel_cuda_cudnn_queue_free (KernelQueue *queue)
{
  if (queue->cudnn)
    kernel_cudnn_api ()->cudnnDestroy (queue->cudnn);
}

/* --- Shapes that are to come ---------------------------------------------------------------- */

/* What two shapes must share: neither the way nor the threads. */
static KernelConvShape
key_of (const KernelConvShape *shape)
{
  KernelConvShape key = *shape;

  key.tactic = key.threads = 0;
  return key;
}

static bool
is_prepared (const CudnnCache *cache, const KernelConvShape *shape)
{
  const KernelConvShape key = key_of (shape);

  for (const Prepared *p = cache->prepared; p; p = p->next)
    if (memcmp (&p->shape, &key, sizeof key) == 0)
      return true;
  return false;
}

static cudnnHandle_t
make_handle (cudaStream_t stream)
{
  cudnnHandle_t handle = NULL;

  if (kernel_cudnn_api ()->cudnnCreate (&handle) != CUDNN_STATUS_SUCCESS)
    return NULL;
  if (kernel_cudnn_api ()->cudnnSetStream (handle, stream) == CUDNN_STATUS_SUCCESS)
    return handle;
  kernel_cudnn_api ()->cudnnDestroy (handle);
  return NULL;
}

static bool
have_handle (CudnnCache *cache)
{
  if (cache->handle)
    return true;
  if (cudaStreamCreateWithFlags (&cache->stream, cudaStreamNonBlocking) != cudaSuccess)
    return false;
  cache->handle = make_handle (cache->stream);
  if (!cache->handle)
    cudaStreamDestroy (cache->stream);
  return cache->handle != NULL;
}

static bool
prepare (CudnnCache *cache, const KernelConvShape *shape)
{
  Prepared *prepared;

  if (is_prepared (cache, shape))
    return true;
  prepared = calloc (1, sizeof *prepared);
  if (!prepared)
    return false;
  prepared->shape = key_of (shape);
  prepared->next = cache->prepared;
  cache->prepared = prepared;
  return true;
}

bool
kernel_cudnn_prepare (KernelQueue *queue, const KernelConvShape *shape)
{
  CudnnCache *cache = queue->cuda->cudnn;
  bool good;

  if (!cache || !kernel_cuda_enter (queue->cuda, NULL))
    return false;
  pthread_mutex_lock (&cache->lock);
  good = have_handle (cache) && prepare (cache, shape);
  pthread_mutex_unlock (&cache->lock);
  if (good && !queue->cudnn)
    queue->cudnn = make_handle (queue->stream);
  (void) cudaGetLastError (); /* false says it */
  kernel_cuda_leave (queue->cuda);
  return good && queue->cudnn;
}

/* --- Plans ---------------------------------------------------------------------------------- */

/* Float engines turn NHWC into NCHW and back: room for x, y and w. */
size_t
kernel_cudnn_workspace (const CudnnConv *c)
{
  const size_t x = (size_t) c->n * c->ih * c->iw * c->ic, y = (size_t) c->n * c->oh * c->ow * c->oc;
  const size_t w = (size_t) c->oc * c->kh * c->kw * (c->ic / c->groups);
  const size_t wanted = (x + y + w) * sizeof (float) + WORKSPACE_EXTRA;

  if (c->in != CUDNN_DATA_FLOAT)
    return WORKSPACE_TENSOR;
  return wanted < WORKSPACE_FLOAT ? wanted : WORKSPACE_FLOAT;
}

static Entry *
find_entry (CudnnCache *cache, const CudnnConv *conv)
{
  const CudnnLimits limits = {conv->in != CUDNN_DATA_INT8, conv->in != CUDNN_DATA_FLOAT,
      kernel_cudnn_workspace (conv)};
  char why[256];
  Entry *entry;

  for (entry = cache->entries; entry; entry = entry->next)
    if (memcmp (&entry->conv, conv, sizeof *conv) == 0)
      return entry;
  entry = calloc (1, sizeof *entry);
  if (!entry)
    return NULL;
  entry->conv = *conv;
  entry->choices =
      kernel_cudnn_choices_new (cache->handle, conv, &limits, MOST_CHOICES, why, sizeof why);
  entry->next = cache->entries;
  cache->entries = entry;
  return entry;
}

/* cuDNN would break its word, which has not been seen: there is no quieter place to say it. */
static void
warn (const CudnnConv *c, const char *name, const char *why)
{
  fprintf (stderr,
      "gst-int8: %s is not used for %dx%d, %d to %d channels of %dx%d, %d images: %s (%s)\n",
      kernel_cudnn_about (), c->kh, c->kw, c->ic, c->oc, c->ih, c->iw, c->n, why, name);
}

/* A plan on its way, in a thread of its own. */
typedef struct {
  CudaBackend *cuda;
  const Entry *entry;
  int rank, choice; /* the choice that it is made of */
  CudnnPlan plan;
  bool good, has_thread;
  pthread_t thread;
} Job;

/* The choice of that rank, or the next that can be built. */
static void
build (Job *job, cudnnHandle_t handle)
{
  const CudnnChoices *choices = job->entry->choices;
  const size_t limit = kernel_cudnn_workspace (&job->entry->conv);
  const int count = choices ? kernel_cudnn_choices_count (choices) : 0;
  char why[256]; /* it is cuDNN's business what it cannot do */

  for (int i = job->rank - 1; i < count && !job->good; i++) {
    job->choice = i;
    job->good = kernel_cudnn_plan_init (&job->plan, handle, choices, i, limit, why, sizeof why);
  }
}

/* cuDNN's handles are for one thread at a time. */
static void *
build_in_thread (void *data)
{
  Job *job = data;
  cudnnHandle_t handle;

  if (!kernel_cuda_enter (job->cuda, NULL))
    return NULL;
  handle = make_handle (job->cuda->cudnn->stream);
  if (handle) {
    build (job, handle);
    kernel_cudnn_api ()->cudnnDestroy (handle);
  }
  kernel_cuda_leave (job->cuda);
  return NULL;
}

static void
take_plan (Entry *entry, Job *job)
{
  CudnnCache *cache = job->cuda->cudnn;
  char why[256];

  entry->ranks[job->rank - 1].state = REFUSED;
  if (!job->good)
    return;
  if (entry->conv.in != CUDNN_DATA_FLOAT &&
      !kernel_cudnn_check (job->cuda, cache->handle, cache->stream, &job->plan, why, sizeof why)) {
    warn (&entry->conv, kernel_cudnn_choices_name (entry->choices, job->choice), why);
    kernel_cudnn_plan_clear (&job->plan);
    return;
  }
  entry->ranks[job->rank - 1].plan = job->plan;
  entry->ranks[job->rank - 1].state = READY;
}

/* Who asks for a second rank is timing them all: then the others are made at the same time, as most
 * of it is compiling. */
static void
make_plans (CudaBackend *cuda, Entry *entry, int rank)
{
  Job jobs[CUDNN_RANKS];
  bool timing = false;

  for (int i = 0; i < CUDNN_RANKS; i++)
    timing = timing || entry->ranks[i].state != UNTRIED;
  for (int i = 0; i < CUDNN_RANKS; i++) {
    jobs[i] = (Job){.cuda = cuda, .entry = entry, .rank = i + 1};
    if (timing && i + 1 != rank && entry->ranks[i].state == UNTRIED)
      jobs[i].has_thread = pthread_create (&jobs[i].thread, NULL, build_in_thread, &jobs[i]) == 0;
  }
  build (&jobs[rank - 1], cuda->cudnn->handle);
  take_plan (entry, &jobs[rank - 1]);
  for (int i = 0; i < CUDNN_RANKS; i++)
    if (jobs[i].has_thread) {
      pthread_join (jobs[i].thread, NULL);
      take_plan (entry, &jobs[i]);
    }
}

const CudnnPlan *
kernel_cudnn_plan (KernelQueue *queue, const KernelConvShape *shape, const CudnnConv *conv,
    int rank)
{
  CudnnCache *cache = queue->cuda->cudnn;
  const CudnnPlan *plan = NULL;
  Entry *entry;

  if (!cache || !queue->cudnn)
    return NULL;
  pthread_mutex_lock (&cache->lock);
  entry = is_prepared (cache, shape) ? find_entry (cache, conv) : NULL;
  if (entry) {
    if (entry->ranks[rank - 1].state == UNTRIED)
      make_plans (queue->cuda, entry, rank);
    if (entry->ranks[rank - 1].state == READY)
      plan = &entry->ranks[rank - 1].plan;
  }
  pthread_mutex_unlock (&cache->lock);
  return plan;
}

void
kernel_cudnn_run (KernelQueue *queue, const CudnnPlan *plan, const CudnnPointers *pointers)
{
  const CudnnApi *api = kernel_cudnn_api ();
  const cudnnStatus_t status = kernel_cudnn_plan_run (plan, queue->cudnn, pointers);
  char detail[160] = "", what[240];

  if (status == CUDNN_STATUS_SUCCESS)
    return;
  api->cudnnGetLastErrorString (detail, sizeof detail);
  snprintf (what, sizeof what, "%s, %s %.100s", kernel_cudnn_about (),
      api->cudnnGetErrorString (status), detail);
  kernel_cuda_check (queue, what, cudaErrorLaunchFailure);
}
