/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tactics.c: the choices of an engine, whom they are for, and what they mean here. */
#include "engine/tactics.h"

#include "engine/build.h"
#include "engine/step.h"

#include <string.h>

/* An engine file that is carried from machine to machine must not grow without end. */
#define MAX_TACTICS 64

static GMutex lock; /* of Engine.tactics of all engines: read and changed in passing */

void
engine_tactics_unref (EngineTactics *tactics)
{
  if (!tactics || !g_atomic_ref_count_dec (&tactics->references))
    return;
  g_free (tactics->backend);
  g_free (tactics->description);
  g_free (tactics->cpu);
  g_free (tactics->offered);
  g_ptr_array_unref (tactics->names);
  g_free (tactics);
}

/* --- The device ----------------------------------------------------------------------------- */

/* What /proc/cpuinfo says of the first CPU. On x86 that is a name, on ARM two numbers. */
static char *
read_cpu_model (void)
{
  static const char *const fields[] = {"model name", "CPU implementer", "CPU part"};
  g_autofree char *text = NULL;
  GString *model = g_string_new (NULL);

  if (g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL))
    for (gsize i = 0; i < G_N_ELEMENTS (fields); i++) {
      const char *field = strstr (text, fields[i]);
      const char *value = field ? strchr (field, ':') : NULL;

      if (value)
        g_string_append_printf (model, "%s%.*s", model->len ? " " : "",
            (int) strcspn (value + 2, "\n"), value + 2);
    }
  if (model->len == 0)
    g_string_append (model, "unknown CPU");
  return g_string_free (model, FALSE);
}

static const char *
cpu_model (void)
{
  static gsize model;

  if (g_once_init_enter (&model))
    g_once_init_leave (&model, (gsize) read_cpu_model ());
  return (const char *) model;
}

/* Devices have no threads of ours. */
static guint
threads_of (KernelBackend *backend, KernelQueue *queue)
{
  return backend->queue_lanes ? (guint) backend->queue_lanes (queue) : 0;
}

/* "cpu: AVX-512 VNNI, <CPU>, 4 threads, batch 16" */
static char *
describe_device (const EngineTactics *tactics)
{
  return g_strdup_printf ("%s: %s, %s, %u thread%s, batch %u", tactics->backend,
      tactics->description, tactics->cpu, tactics->threads, tactics->threads == 1 ? "" : "s",
      tactics->batch);
}

/* --- Ways ----------------------------------------------------------------------------------- */

EngineWays
engine_ways (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue, int batch)
{
  return (EngineWays){graph, backend, engine_schedule_new (graph, backend, queue, batch)};
}

const char *
engine_ways_name (const EngineWays *ways, int node, int tactic)
{
  const KernelOps *ops = ways->backend->ops;
  const KernelConvTacticFn of_type[] = {[ENGINE_TYPE_F32] = ops->conv_f32_tactic,
      [ENGINE_TYPE_S8] = ops->conv_s8_tactic,
      [ENGINE_TYPE_F16] = ops->conv_f16_tactic};
  const KernelConvTacticFn name = of_type[engine_step_conv_type (ways->graph, node)];
  KernelConvShape shape = engine_step_conv_shape (ways->graph, node);

  shape.threads = node < ways->schedule.cut ? 1 : ways->schedule.lanes;
  return name ? name (&shape, tactic) : NULL;
}

int
engine_ways_most (const EngineWays *ways)
{
  int most = 0;

  for (guint i = 0; i < ways->graph->nodes->len; i++) {
    int k = 1;

    if (engine_graph_node (ways->graph, i)->op != ENGINE_OP_CONV)
      continue;
    while (engine_ways_name (ways, i, k))
      k++;
    most = MAX (most, k - 1);
  }
  return most;
}

static char *
offered_by (const EngineWays *ways)
{
  g_autoptr (GString) text = g_string_new (INT8_VERSION);

  for (guint i = 0; i < ways->graph->nodes->len; i++) {
    const char *name;

    if (engine_graph_node (ways->graph, i)->op != ENGINE_OP_CONV)
      continue;
    for (int k = 0; (name = engine_ways_name (ways, i, k)); k++)
      g_string_append_printf (text, "|%s", name);
    g_string_append_c (text, '\n');
  }
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, text->str, text->len);
}

/* --- Making --------------------------------------------------------------------------------- */

EngineTactics *
engine_tactics_new_given (const char *backend, const char *description, const char *cpu,
    guint threads, guint batch, const char *offered, char *const *names, gsize n_names)
{
  EngineTactics *tactics = g_new0 (EngineTactics, 1);

  g_atomic_ref_count_init (&tactics->references);
  tactics->backend = g_strdup (backend);
  tactics->description = g_strdup (description);
  tactics->cpu = g_strdup (cpu);
  tactics->threads = threads;
  tactics->batch = batch;
  tactics->offered = g_strdup (offered);
  tactics->names = g_ptr_array_new_with_free_func (g_free);
  for (gsize i = 0; i < n_names; i++)
    g_ptr_array_add (tactics->names, g_strdup (names[i]));
  return tactics;
}

EngineTactics *
engine_tactics_new (const EngineGraph *graph, KernelBackend *backend, KernelQueue *queue, int batch)
{
  const EngineWays ways = engine_ways (graph, backend, queue, batch);
  g_autofree char *offered = offered_by (&ways);

  return engine_tactics_new_given (backend->name, backend->description, cpu_model (),
      threads_of (backend, queue), (guint) batch, offered, NULL, 0);
}

static gboolean
same_device (const EngineTactics *a, const EngineTactics *b)
{
  return a->threads == b->threads && a->batch == b->batch && g_str_equal (a->backend, b->backend) &&
         g_str_equal (a->description, b->description) && g_str_equal (a->cpu, b->cpu);
}

void
engine_tactics_add (Engine *engine, EngineTactics *tactics)
{
  g_mutex_lock (&lock);
  if (!engine->tactics)
    engine->tactics = g_ptr_array_new_with_free_func ((GDestroyNotify) engine_tactics_unref);
  for (guint i = 0; i < engine->tactics->len; i++)
    if (same_device (g_ptr_array_index (engine->tactics, i), tactics)) {
      g_ptr_array_remove_index (engine->tactics, i);
      break;
    }
  if (engine->tactics->len == MAX_TACTICS)
    g_ptr_array_remove_index (engine->tactics, 0);
  g_ptr_array_add (engine->tactics, tactics);
  g_mutex_unlock (&lock);
}

GPtrArray *
engine_tactics_list (const Engine *engine)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) engine_tactics_unref);

  g_mutex_lock (&lock);
  for (guint i = 0; engine->tactics && i < engine->tactics->len; i++) {
    EngineTactics *tactics = g_ptr_array_index (engine->tactics, i);

    g_atomic_ref_count_inc (&tactics->references);
    g_ptr_array_add (list, tactics);
  }
  g_mutex_unlock (&lock);
  return list;
}

char *
engine_tuned_for (const Engine *engine)
{
  g_autoptr (GPtrArray) list = engine_tactics_list (engine);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < list->len; i++) {
    const EngineTactics *tactics = g_ptr_array_index (list, i);
    g_autofree char *device = describe_device (tactics);
    guint chosen = 0;

    for (guint k = 0; k < tactics->names->len; k++)
      chosen += *(const char *) g_ptr_array_index (tactics->names, k) != '\0';
    g_string_append_printf (text, "%s: %u of %u convolutions\n", device, chosen,
        tactics->names->len);
  }
  return g_string_free (text, FALSE);
}

/* --- Meaning -------------------------------------------------------------------------------- */

/* The number of a way; 0 where the back end takes it by itself, so that both share packed weights.
 * -1: there is none of that name. */
static int
number_of (const EngineWays *ways, int node, const char *wanted)
{
  const char *name;

  if (!*wanted)
    return 0;
  for (int k = 0; (name = engine_ways_name (ways, node, k)); k++)
    if (g_str_equal (name, wanted))
      return k;
  return -1;
}

/* Fills `numbers`; how many are not 0, or -1 where the choices do not fit the network. */
static int
apply (const EngineTactics *tactics, const EngineWays *ways, int *numbers)
{
  const EngineGraph *graph = ways->graph;
  guint convolution = 0;
  int chosen = 0;

  for (guint i = 0; i < graph->nodes->len; i++) {
    if (engine_graph_node (graph, i)->op != ENGINE_OP_CONV)
      continue;
    if (convolution == tactics->names->len)
      return -1;
    numbers[i] = number_of (ways, i, g_ptr_array_index (tactics->names, convolution++));
    if (numbers[i] < 0)
      return -1;
    chosen += numbers[i] > 0;
  }
  return convolution == tactics->names->len ? chosen : -1;
}

int *
engine_tactics_resolve (const Engine *engine, KernelBackend *backend, KernelQueue *queue, int batch,
    gboolean *fits, char **note)
{
  const EngineGraph *graph = engine->graph;
  g_autoptr (GPtrArray) list = engine_tactics_list (engine);
  const EngineWays ways = engine_ways (graph, backend, queue, batch);
  g_autoptr (EngineTactics) here = engine_tactics_new (graph, backend, queue, batch);
  int *numbers = g_new0 (int, graph->nodes->len);

  if (fits)
    *fits = FALSE;
  if (list->len == 0)
    *note = g_strdup ("the back end's own choice");
  else
    *note = g_strdup_printf ("the back end's own choice: the engine file was tuned for %u other%s "
                             "(device, threads or batch)",
        list->len, list->len == 1 ? "" : "s");
  for (guint i = 0; i < list->len; i++) {
    const EngineTactics *tactics = g_ptr_array_index (list, i);
    int chosen;

    if (!same_device (tactics, here))
      continue;
    g_free (*note);
    chosen = g_str_equal (tactics->offered, here->offered) ? apply (tactics, &ways, numbers) : -1;
    if (chosen < 0) {
      memset (numbers, 0, graph->nodes->len * sizeof *numbers);
      *note = g_strdup ("the back end's own choice: the engine file was tuned with other kernels "
                        "than these; tune it again");
      break;
    }
    *note = g_strdup_printf ("timed on this machine: %d of %u convolutions take another way than "
                             "the back end's own choice",
        chosen, tactics->names->len);
    if (fits)
      *fits = TRUE;
    break;
  }
  return numbers;
}
