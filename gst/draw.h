/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * draw.h: one result as a picture: a panel with the attribute's name and, for each class, its label, its
 * confidence and a bar as long as that; around an object its rectangle, the panel above or inside it.
 *
 * Sizes follow the frame's height, so that text is as large in any. Panels that would cover each other are
 * put below one another. Belongs to one thread.
 */
#pragma once

#include <gst/gst.h>
#include <pango/pangocairo.h>

G_BEGIN_DECLS

typedef struct {
  cairo_t *cairo;
  PangoLayout *layout;
  double width, height; /* of the frame */
  double size;          /* of a line of text, in pixels */
  double next;          /* where the next panel of the frame itself begins */
} GstInt8Draw;

/* font: a family as Pango knows it; scale 1 is a 24th of the frame's height, or a 16th of its width where that is
 * less, but at least 10 pixels. */
void gst_int8_draw_begin (GstInt8Draw *draw, cairo_surface_t *surface, int width, int height,
    const char *font, double scale);
/* fields: those of GstInt8ClassificationMeta. */
void gst_int8_draw_result (GstInt8Draw *draw, const GstStructure *fields);
void gst_int8_draw_end (GstInt8Draw *draw);

G_END_DECLS
