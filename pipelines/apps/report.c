/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.c: see report.h. Images are drawn by Cairo and embedded, so that the page can be sent. */
#include "report.h"

#include <cairo.h>

#define SHEET_FIRST 60
#define SHEET_WRONG 40

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>gst-int8 "
    "quickstart</title>\n"
    "<style>\n"
    "body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 62em; color: #222 "
    "}\n"
    "table { border-collapse: collapse; margin: 1em 0 }\n"
    "th, td { padding: .3em 1em; text-align: right; border-bottom: 1px solid #ddd }\n"
    "th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }\n"
    ".sheet { display: grid; grid-template-columns: repeat(auto-fill, 7em); gap: .8em }\n"
    "figure { margin: 0; text-align: center; font-size: 12px }\n"
    "figure img { width: 84px; height: 84px; image-rendering: pixelated; border-radius: 4px }\n"
    "figcaption b { display: block; font-weight: 600 } .wrong b { color: #b3261e }\n"
    "figcaption span { color: #777 }\n"
    "</style>\n<h1>Fashion-MNIST, streamed as a video through <code>int8infer</code></h1>\n";

static cairo_status_t
append_png (void *closure, const unsigned char *data, unsigned int size)
{
  g_byte_array_append (closure, data, size);
  return CAIRO_STATUS_SUCCESS;
}

/* "data:image/png;base64,..." of a grey image. */
static char *
png_uri (const guint8 *grey, int width, int height)
{
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  guint8 *pixels = cairo_image_surface_get_data (surface);
  const int stride = cairo_image_surface_get_stride (surface);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      ((guint32 *) (pixels + y * stride))[x] = 0x010101u * grey[y * width + x];
  cairo_surface_mark_dirty (surface);

  g_autoptr (GByteArray) png = g_byte_array_new ();
  cairo_surface_write_to_png_stream (surface, append_png, png);
  cairo_surface_destroy (surface);
  g_autofree char *base64 = g_base64_encode (png->data, png->len);
  return g_strconcat ("data:image/png;base64,", base64, NULL);
}

static void
append_figure (GString *page, const ReportRun *run, int i, const Idx *images, const Idx *truth,
    char **class_names)
{
  const int expected = idx_item (truth, i)[0], got = run->label[i];
  g_autofree char *uri = png_uri (idx_item (images, i), images->width, images->height);
  g_autofree char *name = g_markup_escape_text (got >= 0 ? class_names[got] : "no result", -1);
  g_autofree char *right = g_markup_escape_text (class_names[expected], -1);

  g_string_append_printf (page,
      "<figure%s><img alt=\"frame %d\" src=\"%s\"><figcaption><b>%s</b><span>%.1f %%%s%s</span>"
      "</figcaption></figure>\n",
      got == expected ? "" : " class=\"wrong\"", i, uri, name, 100 * run->confidence[i],
      got == expected ? "" : ", is ", got == expected ? "" : right);
}

static void
append_runs (GString *page, const ReportRun *runs, int n_runs)
{
  g_string_append (page, "<table><tr><th>model<th>precision<th>top-1<th>agreement with FP32"
                         "<th>frames/s</tr>\n");
  for (int i = 0; i < n_runs; i++)
    g_string_append_printf (page, "<tr><td>%s<td>%s<td>%.2f %%<td>%.2f %%<td>%.0f</tr>\n",
        runs[i].model, runs[i].precision, 100.0 * runs[i].correct / runs[i].n,
        100 * runs[i].agreement, runs[i].fps);
  g_string_append (page, "</table>\n");
}

gboolean
report_write (const char *path, const ReportRun *runs, int n_runs, const Idx *images,
    const Idx *truth, char **class_names, GError **error)
{
  const ReportRun *last = &runs[n_runs - 1];
  g_autoptr (GString) page = g_string_new (page_head);

  append_runs (page, runs, n_runs);
  g_string_append_printf (page,
      "<h2>The first frames, as %s %s saw them</h2>\n<div class=\"sheet\">\n", last->model,
      last->precision);
  for (int i = 0; i < MIN (SHEET_FIRST, last->n); i++)
    append_figure (page, last, i, images, truth, class_names);
  g_string_append (page, "</div>\n<h2>Frames it got wrong</h2>\n<div class=\"sheet\">\n");
  for (int i = 0, shown = 0; i < last->n && shown < SHEET_WRONG; i++) {
    if (last->label[i] == idx_item (truth, i)[0])
      continue;
    append_figure (page, last, i, images, truth, class_names);
    shown++;
  }
  g_string_append (page, "</div>\n</html>\n");
  return g_file_set_contents (path, page->str, page->len, error);
}
