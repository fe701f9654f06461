/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* samples.c: images of all kinds, with their labels, in one order. */
#include "tools/samples.h"

#include <string.h>

#include "tools/idx.h"
#include "tools/tool.h"

#define BATCH_HEADER   16
#define PROGRESS_STEPS 1000

typedef struct {
  const ToolSamples *request;
  ToolSampleFn show;
  gpointer data;
  gint64 index, shown; /* index: of the next image, those that are skipped counted */
  const char *path;
  guint file;   /* its number */
  double share; /* of it that is shown with the next image; 0: not known */
  Idx idx_labels;
  GArray *ordered;   /* int, of lines of text */
  GHashTable *named; /* name of a file to label */
} Reader;

static void
reader_clear (Reader *reader)
{
  idx_clear (&reader->idx_labels);
  g_clear_pointer (&reader->ordered, g_array_unref);
  g_clear_pointer (&reader->named, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

#define BAD(...) bad (error, __VA_ARGS__)

G_GNUC_PRINTF (2, 3)
static gboolean
bad (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (G_IO_ERROR, G_IO_ERROR_INVALID_DATA, format, args);
  va_end (args);
  return FALSE;
}

/* --- Labels --------------------------------------------------------------------------------- */

/* "7", or "cat.jpg 7 tabby cat". */
static gboolean
read_line (Reader *reader, char *line, guint number, GError **error)
{
  const char *path = reader->request->labels;
  char *blank, *end;
  gint64 label = g_ascii_strtoll (line, &end, 10);

  g_strstrip (line);
  if (line[0] == '\0' || line[0] == '#')
    return TRUE;
  if (end > line && *end == '\0') {
    g_array_append_val (reader->ordered, (int){(int) CLAMP (label, -1, G_MAXINT)});
    return TRUE;
  }
  blank = strpbrk (line, " \t");
  if (blank) {
    *blank = '\0';
    label = g_ascii_strtoll (g_strchug (blank + 1), &end, 10);
  }
  if (!blank || end == blank + 1 || label < 0 || label > G_MAXINT) {
    if (number == 1) /* a heading */
      return TRUE;
    return BAD ("'%s', line %u: neither a label nor the name of a file and its label, a number",
        path, number);
  }
  g_hash_table_insert (reader->named, g_path_get_basename (line), GINT_TO_POINTER ((int) label));
  return TRUE;
}

static gboolean
read_text_labels (Reader *reader, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (reader->request->labels, &text, NULL, error))
    return FALSE;
  reader->ordered = g_array_new (FALSE, FALSE, sizeof (int));
  reader->named = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    if (!read_line (reader, lines[i], i + 1, error))
      return FALSE;
  if (reader->ordered->len > 0 && g_hash_table_size (reader->named) > 0)
    return BAD ("'%s': some lines name files, and some do not", reader->request->labels);
  if (reader->ordered->len == 0 && g_hash_table_size (reader->named) == 0)
    return BAD ("there are no labels in '%s'", reader->request->labels);
  return TRUE;
}

/* --- Kinds ---------------------------------------------------------------------------------- */

typedef enum { PICTURE, IDX, BATCH, UNREADABLE } Kind;

typedef struct {
  gint32 n, c, h, w; /* n 0: no batch file's */
  gboolean labels;
  guint64 size;
} BatchFile;

/* By its length: the format has no magic number. */
static gboolean
is_batch (const guint8 *header, guint64 size, BatchFile *batch)
{
  gint32 dims[4];
  guint64 images;

  memcpy (dims, header, sizeof dims);
  for (int i = 0; i < 4; i++) {
    dims[i] = GINT32_FROM_LE (dims[i]);
    if (dims[i] < 1 || dims[i] > 65536)
      return FALSE;
  }
  *batch = (BatchFile){dims[0], dims[1], dims[2], dims[3], FALSE, size};
  images = (guint64) dims[0] * dims[1]; /* below 2^32, and the sides below 2^32 */
  if (images > size || (guint64) dims[2] * dims[3] > size / images)
    return FALSE;
  images *= (guint64) dims[2] * dims[3];
  batch->labels = size == BATCH_HEADER + 4 * (images + dims[0]);
  return batch->labels || size == BATCH_HEADER + 4 * images;
}

static Kind
kind_of (const char *path, BatchFile *batch, GError **error)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  g_autoptr (GFileInputStream) stream = g_file_read (file, NULL, error);
  g_autoptr (GFileInfo) info = NULL;
  guint8 header[BATCH_HEADER] = {0};
  gsize n;

  batch->n = 0;
  if (stream)
    info = g_file_input_stream_query_info (stream, G_FILE_ATTRIBUTE_STANDARD_SIZE, NULL, error);
  if (!info ||
      !g_input_stream_read_all (G_INPUT_STREAM (stream), header, sizeof header, &n, NULL, error))
    return UNREADABLE;
  if (header[0] == 0x1f && header[1] == 0x8b)
    return IDX;
  if (n >= 4 && header[0] == 0 && header[1] == 0 && header[2] == 8 && header[3] > 0)
    return IDX;
  if (n == sizeof header && is_batch (header, g_file_info_get_size (info), batch))
    return BATCH;
  return PICTURE;
}

/* --- Showing -------------------------------------------------------------------------------- */

static gboolean
is_done (const Reader *reader)
{
  return reader->request->max > 0 && reader->shown == reader->request->max;
}

static gboolean
find_label (const Reader *reader, int *label, GError **error)
{
  const char *labels = reader->request->labels;
  g_autofree char *base = NULL;
  gpointer found;

  if (!labels)
    return TRUE;
  if (reader->idx_labels.bytes && reader->index < reader->idx_labels.n) {
    *label = idx_item (&reader->idx_labels, (int) reader->index)[0];
    return TRUE;
  }
  if (reader->ordered && reader->index < reader->ordered->len) {
    *label = g_array_index (reader->ordered, int, reader->index);
    return TRUE;
  }
  base = g_path_get_basename (reader->path);
  if (reader->named && g_hash_table_lookup_extended (reader->named, base, NULL, &found)) {
    *label = GPOINTER_TO_INT (found);
    return TRUE;
  }
  return BAD ("'%s' has no label of image %" G_GINT64_FORMAT ", '%s'", labels, reader->index, base);
}

/* Files count alike, whatever is in them: how many images that is nobody knows before. */
static void
tell_progress (const Reader *reader)
{
  const ToolSamples *request = reader->request;
  double done = (reader->file + reader->share) / request->paths->len;

  if (request->max > 0)
    done = MAX (done, (double) reader->shown / (double) request->max);
  if (!request->silent)
    tool_progress ((guint) (done * PROGRESS_STEPS), PROGRESS_STEPS + 1, reader->path, NULL);
}

static gboolean
emit (Reader *reader, const EngineImage *image, const float *tensor, int label, GError **error)
{
  ToolSample sample = {reader->path, image, tensor, label};

  if (is_done (reader))
    return TRUE;
  if (reader->index >= reader->request->skip) {
    if (!find_label (reader, &sample.label, error) || !reader->show (&sample, reader->data, error))
      return FALSE;
    reader->shown++;
    tell_progress (reader);
  }
  reader->index++;
  return TRUE;
}

static gboolean
show_picture (const EngineImage *image, const char *path, gpointer data, GError **error)
{
  return emit (data, image, NULL, -1, error);
}

static gboolean
show_idx (Reader *reader, GError **error)
{
  Idx idx = {0};
  gboolean ok = idx_load (reader->path, &idx, error);

  if (ok && idx.rank != 3)
    ok = BAD ("'%s' holds labels, not images", reader->path);
  for (int i = 0; ok && i < idx.n && !is_done (reader); i++) {
    const EngineImage image = {.kind = ENGINE_IMAGE_GREY,
        .width = idx.width,
        .height = idx.height,
        .n_planes = 1,
        .planes = {{.data = idx_item (&idx, i),
            .stride = idx.width,
            .width = idx.width,
            .height = idx.height,
            .step = 1}}};

    reader->share = (i + 1.0) / idx.n;
    ok = emit (reader, &image, NULL, -1, error);
  }
  idx_clear (&idx);
  return ok;
}

static gboolean
show_batch (Reader *reader, const BatchFile *batch, GError **error)
{
  const EngineInputInfo *input = &reader->request->input;
  const gsize values = (gsize) batch->c * batch->h * batch->w;
  g_autofree char *bytes = NULL;
  g_autofree float *tensor = g_new (float, values);
  gsize size;

  if (batch->c != input->channels || batch->h != input->height || batch->w != input->width)
    return BAD ("'%s' is a batch of %d x %d x %d, and the model takes %d x %d x %d", reader->path,
        batch->c, batch->h, batch->w, input->channels, input->height, input->width);
  if (!g_file_get_contents (reader->path, &bytes, &size, error))
    return FALSE;
  if (size < BATCH_HEADER + 4 * (values * batch->n + (batch->labels ? batch->n : 0)))
    return BAD ("'%s' became shorter while it was read", reader->path);
  for (gint32 i = 0; i < batch->n && !is_done (reader); i++) {
    const char *from = bytes + BATCH_HEADER;
    guint32 *words = (guint32 *) (void *) tensor, label_bits = 0;
    float label = -1;

    memcpy (tensor, from + 4 * values * i, 4 * values);
    for (gsize k = 0; k < values; k++)
      words[k] = GUINT32_FROM_LE (words[k]);
    if (batch->labels) {
      memcpy (&label_bits, from + 4 * (values * batch->n + i), sizeof label_bits);
      label_bits = GUINT32_FROM_LE (label_bits);
      memcpy (&label, &label_bits, sizeof label);
    }
    reader->share = (i + 1.0) / batch->n;
    if (!emit (reader, NULL, tensor, label >= 0 && label < 1e6f ? (int) label : -1, error))
      return FALSE;
  }
  return TRUE;
}

/* Images of the model's size are announced, but the file has another length. */
static gboolean
is_cut_batch (const Reader *reader, const BatchFile *batch)
{
  const EngineInputInfo *input = &reader->request->input;

  return batch->n > 0 && batch->c == input->channels && batch->h == input->height &&
         batch->w == input->width;
}

static gboolean
show_file (Reader *reader, GError **error)
{
  g_autoptr (GPtrArray) one = g_ptr_array_new ();
  BatchFile batch;

  switch (kind_of (reader->path, &batch, error)) {
  case IDX:
    return show_idx (reader, error);
  case BATCH:
    return show_batch (reader, &batch, error);
  case PICTURE:
    if (is_cut_batch (reader, &batch))
      return BAD ("'%s' begins as a batch file of %d images of %d x %d x %d, but has %" G_GUINT64_FORMAT
                  " bytes: it was cut off, or something follows; write it again",
          reader->path, batch.n, batch.c, batch.h, batch.w, batch.size);
    g_ptr_array_add (one, (gpointer) reader->path);
    return tool_images_read (one, 0, show_picture, reader, error);
  default:
    return FALSE;
  }
}

gint64
tool_samples_read (const ToolSamples *samples, ToolSampleFn show, gpointer data, GError **error)
{
  g_auto (Reader) reader = {.request = samples, .show = show, .data = data};
  const GPtrArray *paths = samples->paths;
  BatchFile ignored;

  if (samples->labels) {
    const Kind kind = kind_of (samples->labels, &ignored, error);

    if (kind == UNREADABLE || (kind == IDX ? !idx_load (samples->labels, &reader.idx_labels, error)
                                           : !read_text_labels (&reader, error)))
      return -1;
    if (kind == IDX && reader.idx_labels.rank != 1) {
      BAD ("'%s' holds images, not labels", samples->labels);
      return -1;
    }
  }
  for (guint i = 0; i < paths->len && !is_done (&reader); i++) {
    reader.path = g_ptr_array_index (paths, i);
    reader.file = i;
    reader.share = 0;
    if (!show_file (&reader, error))
      return -1;
  }
  if (reader.shown > 0 && !samples->silent)
    tool_progress (1, 1, reader.path, NULL); /* ends the line */
  if (reader.shown == 0)
    BAD ("%" G_GINT64_FORMAT " images were found, and %" G_GINT64_FORMAT
         " are skipped: none is left",
        reader.index, samples->skip);
  return reader.shown > 0 ? reader.shown : -1;
}
