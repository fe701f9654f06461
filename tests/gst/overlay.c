/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * overlay.c: int8overlay: frames without results pass untouched, others are drawn on where the result is and
 * nowhere else, at any size and stride.
 */
#include "tests/gst/common.h"

#include <stdio.h>
#include <string.h>

/* A frame of one colour, with the lines `padding` bytes apart. */
static GstBuffer *
grey_frame (int width, int height, int padding)
{
  const int strides[4] = {width * 4 + padding};
  const gsize offsets[4] = {0};
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, (gsize) strides[0] * height, NULL);

  gst_buffer_memset (buffer, 0, 0x80, gst_buffer_get_size (buffer));
  gst_buffer_add_video_meta_full (buffer, 0, GST_VIDEO_FORMAT_BGRx, width, height, 1,
      (gsize *) offsets, (int *) strides);
  return buffer;
}

static void
add_result (GstBuffer *buffer, const char *more)
{
  g_autofree char *text = g_strdup_printf (
      "fields, label=(string)\"trøuser & <b>\", label_id=1, confidence=0.75, labels=(string)<\"trøuser & <b>\", "
      "coat>, label_ids=(int)<1, 2>, confidences=(double)<0.75, 0.2>, model_name=(string)m, "
      "attribute_name=(string)classification%s",
      more);
  g_autoptr (GstStructure) fields = gst_structure_from_string (text, NULL);
  GstCustomMeta *meta = gst_buffer_add_custom_meta (buffer, "GstInt8ClassificationMeta");
  const guint n = fields ? (guint) gst_structure_n_fields (fields) : 0;

  fail_unless (fields && meta);
  for (guint i = 0; i < n; i++) {
    const char *name = gst_structure_nth_field_name (fields, i);
    const GValue *value = gst_structure_get_value (fields, name);

    gst_structure_set_value (gst_custom_meta_get_structure (meta), name, value);
  }
}

/* Pixels of a part of the frame that are not as they were. */
static guint
changed (GstBuffer *buffer, int stride, int x, int y, int width, int height)
{
  GstMapInfo map;
  guint n = 0;

  fail_unless (gst_buffer_map (buffer, &map, GST_MAP_READ));
  for (int row = y; row < y + height; row++)
    for (int column = x; column < x + width; column++) {
      const guint8 *pixel = map.data + (gsize) row * stride + (gsize) column * 4;

      n += pixel[0] != 0x80 || pixel[1] != 0x80 || pixel[2] != 0x80;
    }
  gst_buffer_unmap (buffer, &map);
  return n;
}

static GstHarness *
overlay_new (int width, int height)
{
  GstHarness *h = gst_harness_new_parse ("int8overlay");

  gst_harness_set_src_caps (h, test_caps (GST_VIDEO_FORMAT_BGRx, width, height));
  return h;
}

GST_START_TEST (test_nothing_to_draw)
{
  GstHarness *h = overlay_new (64, 48);
  GstBuffer *out = gst_harness_push_and_pull (h, grey_frame (64, 48, 0));

  fail_unless_equals_int (changed (out, 64 * 4, 0, 0, 64, 48), 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* A frame's panel is at the top left; an object's line above it, its rectangle around it, also where the frame
 * was scaled since. */
GST_START_TEST (test_where_it_is)
{
  GstHarness *h = overlay_new (640, 480);
  GstBuffer *buffer = grey_frame (640, 480, 64), *out;
  const int stride = 640 * 4 + 64;

  add_result (buffer, "");
  out = gst_harness_push_and_pull (h, buffer);
  fail_unless (changed (out, stride, 8, 8, 200, 40) > 7000);
  fail_unless_equals_int (changed (out, stride, 0, 120, 640, 360), 0);
  fail_unless_equals_int (changed (out, stride, 400, 0, 240, 480), 0);
  gst_buffer_unref (out);

  buffer = grey_frame (640, 480, 64);
  add_result (buffer,
      ", x=150, y=400, width=50, height=160, object_class=(string)car, frame_width=320, "
      "frame_height=960, object_id=(guint64)4");
  out = gst_harness_push_and_pull (h, buffer);
  fail_unless (changed (out, stride, 298, 175, 60, 24) > 800);         /* the line of text */
  fail_unless (changed (out, stride, 297, 198, 106, 4) > 150);         /* the upper edge */
  fail_unless_equals_int (changed (out, stride, 310, 210, 80, 60), 0); /* inside */
  fail_unless_equals_int (changed (out, stride, 0, 0, 640, 170), 0);
  fail_unless_equals_int (changed (out, stride, 0, 290, 640, 190), 0);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* A frame that is higher than wide has all of the panel inside; an object's line does not leave it either. */
GST_START_TEST (test_narrow_frame)
{
  GstHarness *h = overlay_new (240, 640);
  GstBuffer *buffer = grey_frame (240, 640, 0), *out;
  const int stride = 240 * 4;

  add_result (buffer, "");
  out = gst_harness_push_and_pull (h, buffer);
  fail_unless (changed (out, stride, 180, 6, 45, 50) > 2000);
  fail_unless_equals_int (changed (out, stride, 230, 0, 10, 640), 0);
  gst_buffer_unref (out);

  buffer = grey_frame (240, 640, 0);
  add_result (buffer, ", x=230, y=300, width=8, height=8, object_class=(string)car");
  out = gst_harness_push_and_pull (h, buffer);
  fail_unless (changed (out, stride, 150, 284, 90, 14) > 800);
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* More classes than there is room for: the last line that fits says how many there are, and no time is spent on them. */
GST_START_TEST (test_many_classes)
{
  GstHarness *h = overlay_new (640, 480);
  GstBuffer *buffer = grey_frame (640, 480, 0), *out;
  GValue labels = G_VALUE_INIT, confidences = G_VALUE_INIT, value = G_VALUE_INIT;
  GstStructure *fields;

  add_result (buffer, "");
  gst_value_array_init (&labels, 1000);
  gst_value_array_init (&confidences, 1000);
  for (guint i = 0; i < 1000; i++) {
    g_value_init (&value, G_TYPE_STRING);
    g_value_set_static_string (&value, "class");
    gst_value_array_append_and_take_value (&labels, &value);
    memset (&value, 0, sizeof value);
    g_value_init (&value, G_TYPE_DOUBLE);
    gst_value_array_append_and_take_value (&confidences, &value);
    memset (&value, 0, sizeof value);
  }
  fields = gst_custom_meta_get_structure (
      gst_buffer_get_custom_meta (buffer, "GstInt8ClassificationMeta"));
  gst_structure_take_value (fields, "labels", &labels);
  gst_structure_take_value (fields, "confidences", &confidences);
  out = gst_harness_push_and_pull (h, buffer);
  fail_unless (changed (out, 640 * 4, 8, 440, 290, 20) > 5000);       /* the last line */
  fail_unless_equals_int (changed (out, 640 * 4, 0, 478, 640, 2), 0); /* below the panel */
  gst_buffer_unref (out);
  gst_harness_teardown (h);
}
GST_END_TEST;

/* Smaller than any text, and objects that reach outside: nothing is written beyond the frame. */
GST_START_TEST (test_small_frames)
{
  for (int side = 1; side < 40; side += 3) {
    GstHarness *h = overlay_new (side, side);
    GstBuffer *buffer = grey_frame (side, side, 16), *out;

    add_result (buffer, "");
    add_result (buffer, ", x=-5, y=-5, width=100, height=80, object_class=(string)\"\"");
    out = gst_harness_push_and_pull (h, buffer);
    fail_unless (changed (out, side * 4 + 16, 0, 0, side, side) > 0);
    gst_buffer_unref (out);
    gst_harness_teardown (h);
  }
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8overlay");
  TCase *tcase = tcase_create ("overlay");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_test (tcase, test_nothing_to_draw);
  tcase_add_test (tcase, test_where_it_is);
  tcase_add_test (tcase, test_narrow_frame);
  tcase_add_test (tcase, test_many_classes);
  tcase_add_test (tcase, test_small_frames);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "overlay", make_suite);
}
