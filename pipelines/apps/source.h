/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source.h: what classify-streams and calibrate-live share: video from wherever the user says,
 * properties of elements from the command line, and what went wrong as one line.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define SOURCE_HELP                                                                                \
  "SOURCE is a file, a URI (rtsp://, http:// ...), a camera (/dev/video0), "                       \
  "or a picture of videotestsrc: test, test:ball ..."

/* A bin with one pad, "src", that gives decoded video in system memory. live: pictures of videotestsrc
 * come at the rate of a camera. */
GstElement *source_new (const char *text, gboolean live, GError **error);

/* Sets NAME=VALUE on every element of the list that has such a property; fails where none has, and where
 * the value is none of its. */
gboolean source_set_property (const char *assignment, GstElement **elements, guint n,
    GError **error);
/* gst_element_factory_make() that says what to do where it fails. */
GstElement *source_make_element (const char *factory, const char *name, GError **error);

/* The text of an error or a warning, with the detail that says what to do. */
char *source_describe (GstMessage *message);

G_END_DECLS
