/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gstint8infer-objects.c: which parts of a frame go through the network, all of it or the objects on it,
 * and what becomes of each. Results come in the order of the frames, so that an object which is not
 * classified again has the newest one of its track.
 */
#include "gst/gstint8infer-private.h"

/* --- Pictures -------------------------------------------------------------------------------- */

/* By the time there is a result the object is on another frame: who follows it? */
static void
warn_of_untracked (GstInt8Infer *self)
{
  if (self->async.warned)
    return;
  self->async.warned = TRUE;
  GST_ELEMENT_WARNING (self, STREAM, FAILED,
      ("async=true classifies objects that a tracker follows, and some have no id: they get no results"),
      ("put a tracker behind the detector, or set async=false"));
}

/* Readers take the first tensor of a frame for that of the frame. */
static void
warn_of_tensors (GstInt8Infer *self, gboolean wanted)
{
  if (wanted && !self->warned_of_tensors)
    GST_ELEMENT_WARNING (self, LIBRARY, SETTINGS,
        ("output-tensors=true has no effect with process-mode=objects: a GstTensorMeta does not say "
         "which object a tensor is of"),
        ("set process-mode=frame, or output-tensors=false"));
  self->warned_of_tensors = wanted;
}

/* Whether it is classified in this frame. */
static gboolean
is_due (GstInt8Infer *self, const GstInt8Entry *entry, const GstInt8EntryObject *place, guint64 area)
{
  if (place->track)
    return gst_int8_track_is_due (place->track, &entry->options.tracks, entry->stream->n_frames,
        area);
  if (self->async.thread)
    warn_of_untracked (self);
  return !self->async.thread;
}

/* classify: it becomes a picture where it is due. */
static void
add_object (GstInt8Infer *self, GstInt8Entry *entry, const GstInt8Object *object, gboolean classify)
{
  const guint64 area = (guint64) object->rect.width * (guint64) object->rect.height;
  GstInt8EntryObject *place;

  if (entry->n_objects == entry->max_objects) {
    entry->max_objects = MAX (8, 2 * entry->max_objects);
    entry->objects = g_renew (GstInt8EntryObject, entry->objects, entry->max_objects);
  }
  place = &entry->objects[entry->n_objects++];
  *place = (GstInt8EntryObject){.object = *object, .picture = -1};
  if (object->is_tracked)
    place->track = gst_int8_track_ref (gst_int8_tracks_see (entry->stream->tracks, object->track));
  if (classify && is_due (self, entry, place, area))
    place->picture = (int) entry->job.n_pictures++;
}

static void
find_objects (GstInt8Infer *self, GstInt8Entry *entry, gboolean classify)
{
  const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta (entry->buffer);
  const EngineRect visible =
      crop ? (EngineRect){(int) crop->x, (int) crop->y, (int) crop->width, (int) crop->height}
           : (EngineRect){0, 0, GST_VIDEO_INFO_WIDTH (&entry->format.info),
                 GST_VIDEO_INFO_HEIGHT (&entry->format.info)};
  GstInt8Regions regions;
  GstInt8Object object;

  gst_int8_tracks_begin_frame (entry->stream->tracks, entry->stream->n_frames);
  gst_int8_regions_init (&regions, entry->buffer, &visible, &self->filter);
  while (gst_int8_regions_next (&regions, &object))
    add_object (self, entry, &object, classify);
}

/* Memory for the pictures, and the classes of each. */
static void
reserve (GstInt8Entry *entry)
{
  const guint top_k = entry->options.top_k, n_pictures = entry->job.n_pictures;
  const guint n_classes = (n_pictures + 1) * top_k; /* the last is for what a track is taken for */

  if (n_pictures > entry->max_pictures) {
    entry->max_pictures = MAX (n_pictures, 2 * entry->max_pictures);
    entry->pictures = g_renew (GstInt8Picture, entry->pictures, entry->max_pictures);
  }
  if (n_classes > entry->max_classes) {
    entry->max_classes = MAX (n_classes, 2 * entry->max_classes);
    entry->classes = g_renew (GstInt8Class, entry->classes, entry->max_classes);
  }
  for (guint i = 0; i < n_pictures; i++)
    entry->pictures[i] = (GstInt8Picture){.classes = entry->classes + (gsize) i * top_k};
}

void
gst_int8_infer_entry_pictures (GstInt8Infer *self, GstInt8Entry *entry)
{
  if (entry->options.process_mode == GST_INT8_PROCESS_FRAME) {
    entry->job.n_pictures = 1;
    reserve (entry);
    return;
  }
  warn_of_tensors (self, entry->options.output_tensors);
  /* Regions of interest are given params, and stay where they are from now on. */
  entry->buffer = gst_buffer_make_writable (entry->buffer);
  find_objects (self, entry, TRUE);
  reserve (entry);
  for (guint i = 0; i < entry->n_objects; i++)
    if (entry->objects[i].picture >= 0)
      entry->pictures[entry->objects[i].picture].region = entry->objects[i].object.rect;
}

void
gst_int8_infer_entry_clear (GstInt8Entry *entry)
{
  while (entry->n_objects > 0)
    g_clear_pointer (&entry->objects[--entry->n_objects].track, gst_int8_track_unref);
  for (guint i = 0; i < entry->job.n_pictures; i++)
    g_clear_pointer (&entry->pictures[i].output.values, g_free);
  g_clear_pointer (&entry->stream, gst_int8_stream_unref);
}

/* --- Results --------------------------------------------------------------------------------- */

#ifdef HAVE_GST_ANALYTICS
#define ANALYTICS GST_INT8_METADATA_ANALYTICS
#else
#define ANALYTICS GST_INT8_METADATA_NONE
#endif

/* object: or NULL, for a frame. An object has its result where it is itself: one more region or detection
 * of it would be a second object to whoever comes next. */
static GstInt8Metadata
metadata_kinds (GstInt8MetadataMode mode, const GstInt8Object *object)
{
  switch (mode) {
  case GST_INT8_METADATA_MODE_ROI:
    return GST_INT8_METADATA_ROI;
  case GST_INT8_METADATA_MODE_CUSTOM:
    return GST_INT8_METADATA_CUSTOM;
  case GST_INT8_METADATA_MODE_ANALYTICS:
    return object && object->region ? GST_INT8_METADATA_ROI : ANALYTICS;
  case GST_INT8_METADATA_MODE_AUTO:
    if (!object)
      return GST_INT8_METADATA_CUSTOM | GST_INT8_METADATA_ROI | ANALYTICS;
    return GST_INT8_METADATA_CUSTOM | (object->region ? GST_INT8_METADATA_ROI : ANALYTICS);
  case GST_INT8_METADATA_MODE_BOTH:
    return GST_INT8_METADATA_ROI | GST_INT8_METADATA_CUSTOM;
  case GST_INT8_METADATA_MODE_NONE:
    break;
  }
  return GST_INT8_METADATA_NONE;
}

/* The output itself, whatever the threshold. */
void
gst_int8_infer_entry_give_output (GstInt8Entry *entry, GstInt8Output *output)
{
#ifdef HAVE_GST_TENSOR_META
  if (!output->values)
    return;
  entry->buffer = gst_buffer_make_writable (entry->buffer);
  gst_int8_meta_attach_tensor (entry->buffer, g_steal_pointer (&output->values), output->n,
      output->is_softmaxed);
#endif
}

/* A result without classes is none: all were below the threshold. */
void
gst_int8_infer_entry_give (GstInt8Infer *self, GstInt8Entry *entry, GstInt8Result *result)
{
  const GstInt8Metadata kinds = metadata_kinds (entry->options.metadata, result->object);

  if (result->n_classes == 0)
    return;
  result->attribute_name = entry->options.attribute_name;
  result->width = (guint) GST_VIDEO_INFO_WIDTH (&entry->job.format->info);
  result->height = (guint) GST_VIDEO_INFO_HEIGHT (&entry->job.format->info);
  if (kinds) {
    entry->buffer = gst_buffer_make_writable (entry->buffer);
    gst_int8_meta_attach (entry->buffer, result, kinds);
  }
  if (entry->options.post_messages) {
    GstMessage *message =
        gst_int8_result_message (GST_OBJECT (self), result, entry->buffer, &entry->segment);

    gst_int8_stream_name (entry->stream, gst_message_writable_structure (message));
    gst_element_post_message (GST_ELEMENT (self), message);
  }
}

/* Of a tracked object it is what the track is taken for, this result among others. */
static void
give_object (GstInt8Infer *self, GstInt8Entry *entry, const GstInt8EntryObject *place)
{
  const GstInt8Picture *picture = place->picture >= 0 ? &entry->pictures[place->picture] : NULL;
  GstInt8Result result = {.object = &place->object,
      .labels = entry->job.labels,
      .model_name = entry->job.model_name};

  if (picture) {
    result.classes = picture->classes;
    result.n_classes = picture->n_classes;
  }
  if (place->track) {
    GstInt8Class *classes =
        entry->classes + (gsize) entry->job.n_pictures * entry->options.top_k;

    if (picture)
      gst_int8_track_note_frame (place->track, GST_BUFFER_PTS (entry->buffer));
    if (picture)
      gst_int8_track_add (place->track, &entry->options.tracks, entry->job.labels,
          entry->job.model_name, picture->classes, picture->n_classes);
    result.classes = classes;
    result.n_classes = gst_int8_track_classes (place->track, classes, entry->options.top_k,
        &result.labels, &result.model_name);
  }
  gst_int8_infer_entry_give (self, entry, &result);
}

void
gst_int8_infer_entry_give_tracks (GstInt8Infer *self, GstInt8Entry *entry)
{
  entry->buffer = gst_buffer_make_writable (entry->buffer);
  entry->n_objects = entry->job.n_pictures = 0;
  find_objects (self, entry, FALSE);
  reserve (entry);
  for (guint i = 0; i < entry->n_objects; i++) {
    const GstInt8EntryObject *place = &entry->objects[i];
    GstInt8Result result = {.object = &place->object, .classes = entry->classes, .older = TRUE};

    if (!place->track)
      continue;
    result.of_pts = gst_int8_track_frame (place->track);
    result.n_classes = gst_int8_track_classes (place->track, entry->classes, entry->options.top_k,
        &result.labels, &result.model_name);
    gst_int8_infer_entry_give (self, entry, &result);
  }
}

void
gst_int8_infer_entry_results (GstInt8Infer *self, GstInt8Entry *entry)
{
  if (entry->options.process_mode == GST_INT8_PROCESS_OBJECTS) {
    for (guint i = 0; i < entry->n_objects; i++)
      give_object (self, entry, &entry->objects[i]);
  } else if (entry->job.n_pictures > 0) {
    GstInt8Result result = {.classes = entry->pictures[0].classes,
        .n_classes = entry->pictures[0].n_classes,
        .labels = entry->job.labels,
        .model_name = entry->job.model_name};

    gst_int8_infer_entry_give (self, entry, &result);
    gst_int8_infer_entry_give_output (entry, &entry->pictures[0].output);
  }
}
