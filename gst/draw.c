/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* draw.c: see draw.h. */
#include "gst/draw.h"

#include "gst/meta.h"

#define LINES_A_FRAME 24.0
#define SIZES_A_FRAME 16.0 /* its width: a panel and what is beside it */
#define LEAST_SIZE    10.0
#define LINE          1.1 /* of a panel, in sizes of text */
#define LABEL_WIDTH   9.0 /* of a panel's columns, in sizes of text */
#define BAR_WIDTH     5.0
#define PADDING       0.4

/* Colours that differ at a glance, on dark and on light pictures. */
static const struct {
  double red, green, blue;
} colours[] = {{0.20, 0.75, 0.95}, {0.98, 0.70, 0.15}, {0.45, 0.85, 0.35}, {0.95, 0.40, 0.55},
    {0.70, 0.55, 0.98}, {0.95, 0.90, 0.30}};

void
gst_int8_draw_begin (GstInt8Draw *draw, cairo_surface_t *surface, int width, int height,
    const char *font, double scale)
{
  PangoFontDescription *description = pango_font_description_from_string (font);

  *draw = (GstInt8Draw){.cairo = cairo_create (surface),
      .width = width,
      .height = height,
      .size = scale * MAX (MIN (height / LINES_A_FRAME, width / SIZES_A_FRAME), LEAST_SIZE)};
  draw->next = draw->size * PADDING;
  draw->layout = pango_cairo_create_layout (draw->cairo);
  pango_font_description_set_absolute_size (description, draw->size * 0.8 * PANGO_SCALE);
  pango_layout_set_font_description (draw->layout, description);
  pango_layout_set_ellipsize (draw->layout, PANGO_ELLIPSIZE_END);
  pango_layout_set_single_paragraph_mode (draw->layout, TRUE);
  pango_font_description_free (description);
}

void
gst_int8_draw_end (GstInt8Draw *draw)
{
  g_clear_object (&draw->layout);
  cairo_destroy (draw->cairo);
}

/* The same label has the same colour in every frame. */
static void
set_colour (GstInt8Draw *draw, const char *label, double alpha)
{
  const guint at = g_str_hash (label) % G_N_ELEMENTS (colours);

  cairo_set_source_rgba (draw->cairo, colours[at].red, colours[at].green, colours[at].blue, alpha);
}

static void
draw_text (GstInt8Draw *draw, double x, double y, double width, const char *text)
{
  pango_layout_set_text (draw->layout, text, -1);
  pango_layout_set_width (draw->layout, (int) (width * PANGO_SCALE));
  cairo_move_to (draw->cairo, x, y);
  pango_cairo_show_layout (draw->cairo, draw->layout);
}

/* Label, bar and number of one class, from (x, y) on. */
static void
draw_class (GstInt8Draw *draw, double x, double y, const char *label, double confidence)
{
  const double size = draw->size, bar = x + LABEL_WIDTH * size;
  char number[16];

  cairo_set_source_rgb (draw->cairo, 1, 1, 1);
  draw_text (draw, x, y, (LABEL_WIDTH - PADDING) * size, label);
  set_colour (draw, label, 1);
  cairo_rectangle (draw->cairo, bar, y + 0.2 * size,
      CLAMP (confidence, 0, 1) * (BAR_WIDTH - 2.5) * size, 0.7 * size);
  cairo_fill (draw->cairo);
  g_snprintf (number, sizeof number, "%.2f", confidence);
  cairo_set_source_rgb (draw->cairo, 1, 1, 1);
  draw_text (draw, bar + (BAR_WIDTH - 2.3) * size, y, 2.3 * size, number);
}

static double
panel_height (const GstInt8Draw *draw, guint lines)
{
  return (lines * LINE + 2 * PADDING) * draw->size;
}

/* How many of n classes are shown in a panel at y: where they do not all fit, the last line says so. */
static guint
count_shown (const GstInt8Draw *draw, double y, guint n)
{
  const double room = (draw->height - y) / draw->size - 2 * PADDING;
  const guint lines = room > 0 ? (guint) (room / LINE) : 0; /* with the attribute's */

  return n + 1 <= lines ? n : MIN (n, MAX (lines, 3) - 2);
}

static void
draw_panel (GstInt8Draw *draw, double x, double y, const GstStructure *fields)
{
  const GValue *labels = gst_structure_get_value (fields, "labels");
  const GValue *confidences = gst_structure_get_value (fields, "confidences");
  const guint n = gst_value_array_get_size (labels), shown = count_shown (draw, y, n);
  const double size = draw->size, width = (LABEL_WIDTH + BAR_WIDTH + 2 * PADDING) * size;

  cairo_set_source_rgba (draw->cairo, 0, 0, 0, 0.6);
  cairo_rectangle (draw->cairo, x, y, width, panel_height (draw, shown + 1 + (shown < n)));
  cairo_fill (draw->cairo);
  x += PADDING * size;
  y += PADDING * size;
  cairo_set_source_rgb (draw->cairo, 0.75, 0.75, 0.75);
  draw_text (draw, x, y, width - 2 * PADDING * size,
      gst_structure_get_string (fields, "attribute_name"));
  if (shown < n) {
    g_autofree char *text = g_strdup_printf ("and %u more", n - shown);

    draw_text (draw, x, y + (shown + 1) * LINE * size, width - 2 * PADDING * size, text);
  }
  for (guint i = 0; i < shown; i++)
    draw_class (draw, x, y + (i + 1) * LINE * size,
        g_value_get_string (gst_value_array_get_value (labels, i)),
        g_value_get_double (gst_value_array_get_value (confidences, i)));
}

/* One line above the rectangle, or inside where there is no room; farther left where it would leave the frame. */
static void
draw_object (GstInt8Draw *draw, const GstStructure *fields, const EngineRect *rect)
{
  const char *label = gst_structure_get_string (fields, "label");
  const double line = 1.2 * draw->size;
  g_autofree char *text = NULL;
  int text_width;
  double confidence = 0, top, left, box;
  guint64 id;

  gst_structure_get_double (fields, "confidence", &confidence);
  text = gst_structure_get_uint64 (fields, "object_id", &id)
             ? g_strdup_printf ("%s %.2f  #%" G_GUINT64_FORMAT, label, confidence, id)
             : g_strdup_printf ("%s %.2f", label, confidence);
  set_colour (draw, label, 1);
  cairo_set_line_width (draw->cairo, MAX (draw->size / 8, 1));
  cairo_rectangle (draw->cairo, rect->x, rect->y, rect->width, rect->height);
  cairo_stroke (draw->cairo);

  pango_layout_set_width (draw->layout, -1);
  pango_layout_set_text (draw->layout, text, -1);
  pango_layout_get_pixel_size (draw->layout, &text_width, NULL);
  box = text_width + draw->size * PADDING;
  top = rect->y >= line ? rect->y - line : rect->y;
  left = MAX (MIN (rect->x, draw->width - box), 0);
  cairo_rectangle (draw->cairo, left, top, box, line);
  cairo_fill (draw->cairo);
  cairo_set_source_rgb (draw->cairo, 0, 0, 0);
  cairo_move_to (draw->cairo, left + draw->size * PADDING / 2, top);
  pango_cairo_show_layout (draw->cairo, draw->layout);
}

void
gst_int8_draw_result (GstInt8Draw *draw, const GstStructure *fields)
{
  EngineRect rect;

  if (gst_int8_meta_get_rect (fields, (int) draw->width, (int) draw->height, &rect)) {
    draw_object (draw, fields, &rect);
  } else {
    const GValue *labels = gst_structure_get_value (fields, "labels");

    if (draw->next < draw->height)
      draw_panel (draw, draw->size * PADDING, draw->next, fields);
    draw->next += panel_height (draw, gst_value_array_get_size (labels) + 1) + draw->size * PADDING;
  }
}
