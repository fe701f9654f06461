/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe/phase.c: which layers of a prototxt make the classifier: those of the test phase, without what a
 * training set is read with and what only measures; and the types that nobody knows, all at once.
 */
#include "engine/caffe/net.h"

#include <string.h>

#define MAX_LAYERS 16384 /* as of nodes and edges in onnx/order.c */
#define MAX_BLOBS  65536

#define REFUSE(code, ...) engine_caffe_refuse (error, code, __VA_ARGS__)

/* --- Types ---------------------------------------------------------------------------------- */

static const EngineCaffeType types[] = {
#define ENGINE_CAFFE_LAYER(name, v1, function, min, max)                                           \
  {name, v1, engine_caffe_import_##function, min, max},
#include "engine/caffe/layers.inc"
#undef ENGINE_CAFFE_LAYER
};

/* What makes nothing that a classifier needs; and where pictures come from in training. */
static const char *const dropped[] = {"Accuracy", "ACCURACY", "Silence", "SILENCE", "HDF5Output",
    "HDF5_OUTPUT", NULL};
static const char *const sources[] = {"AnnotatedData", "DATA", "DUMMY_DATA", "Data", "DummyData",
    "HDF5Data", "HDF5_DATA", "IMAGE_DATA", "ImageData", "MEMORY_DATA", "MemoryData", "WINDOW_DATA",
    "WindowData", NULL};

const EngineCaffeType *
engine_caffe_type (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    if (strcmp (types[i].name, name) == 0 || g_strcmp0 (types[i].v1, name) == 0)
      return &types[i];
  return NULL;
}

/* --- Which layers --------------------------------------------------------------------------- */

/* In the test phase, level 0, without stages. */
static gboolean
met (const EngineCaffe__Rule *rule)
{
  return (!rule->has_phase || rule->phase == ENGINE_CAFFE__PHASE__TEST) &&
         (!rule->has_min_level || rule->min_level <= 0) &&
         (!rule->has_max_level || rule->max_level >= 0) && rule->n_stage == 0;
}

static gboolean
is_included (const EngineCaffe__Layer *layer)
{
  gboolean included = layer->n_include == 0;

  for (gsize i = 0; i < layer->n_include; i++)
    included = included || met (layer->include[i]);
  for (gsize i = 0; i < layer->n_exclude; i++)
    included = included && !met (layer->exclude[i]);
  return included;
}

static gboolean
check_layer (const EngineCaffe__Layer *layer, gsize i, GError **error)
{
  if (!layer->name || !layer->name[0])
    return REFUSE (ENGINE_ERROR_MODEL, "layer %" G_GSIZE_FORMAT " has no name", i);
  if (!layer->type || !layer->type[0])
    return REFUSE (ENGINE_ERROR_MODEL,
        "layer \"%s\" has no type; a prototxt of Caffe's first generation is brought up to date by "
        "Caffe's upgrade_net_proto_text",
        layer->name);
  return TRUE;
}

/* EngineCaffe__Layer *, of both generations. */
static GPtrArray *
collect_layers (const EngineCaffe__Net *net, GError **error)
{
  g_autoptr (GPtrArray) layers = g_ptr_array_new ();
  gsize blobs = 0;

  if (net->n_layer > 0 && net->n_layers > 0) {
    REFUSE (ENGINE_ERROR_MODEL,
        "it has both `layer` and `layers`, which no version of Caffe reads");
    return NULL;
  }
  for (gsize i = 0; i < net->n_layer + net->n_layers; i++) {
    EngineCaffe__Layer *layer = net->n_layer > 0 ? net->layer[i] : net->layers[i];

    if (!check_layer (layer, i, error))
      return NULL;
    blobs += layer->n_bottom + layer->n_top;
    if (is_included (layer) && !g_strv_contains (dropped, layer->type))
      g_ptr_array_add (layers, layer);
  }
  if (layers->len > 0 && layers->len <= MAX_LAYERS && blobs <= MAX_BLOBS)
    return g_steal_pointer (&layers);
  if (layers->len == 0)
    REFUSE (ENGINE_ERROR_MODEL, "it has no layers");
  else
    REFUSE (ENGINE_ERROR_UNSUPPORTED,
        "%u layers with %" G_GSIZE_FORMAT " bottoms and tops; %d and %d can be done", layers->len,
        blobs, MAX_LAYERS, MAX_BLOBS);
  return NULL;
}

/* All types that nobody knows, at once. */
static gboolean
check_types (const GPtrArray *layers, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) list = g_string_new (NULL);

  for (guint i = 0; i < layers->len; i++) {
    const EngineCaffe__Layer *layer = g_ptr_array_index (layers, i);

    if (g_strv_contains (sources, layer->type))
      return REFUSE (ENGINE_ERROR_UNSUPPORTED,
          "layer \"%s\" (%s) reads a training set, and does not say the size of images; give the "
          "network for deployment, which begins with an input",
          layer->name, layer->type);
    if (strcmp (layer->type, "Input") == 0 || engine_caffe_type (layer->type) || list->len > 2000 ||
        !g_hash_table_add (seen, layer->type))
      continue;
    g_string_append_printf (list, "%s%s (layer \"%s\")", list->len ? ", " : "", layer->type,
        layer->name);
  }
  if (list->len == 0)
    return TRUE;
  return REFUSE (ENGINE_ERROR_UNSUPPORTED,
      "layers of types that are not supported: %s; docs/MODELS.md lists those that are", list->str);
}

GPtrArray *
engine_caffe_layers (const EngineCaffe__Net *net, GError **error)
{
  g_autoptr (GPtrArray) layers = collect_layers (net, error);

  return layers && check_types (layers, error) ? g_steal_pointer (&layers) : NULL;
}
