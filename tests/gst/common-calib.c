/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common-calib.c: int8calib under a harness, and what the engine makes of its frames; see common.h. */
#include "tests/gst/common.h"

TestCalib
test_calib_new (const char *launch)
{
  TestCalib c;

  c.element = test_element_new (launch, &c.bus);
  g_object_set (c.element, "model", test_model (), NULL);
  c.h = NULL;
  return c;
}

void
test_calib_play (TestCalib *c)
{
  c->h = gst_harness_new_with_element (c->element, "sink", NULL);
  gst_harness_set_live (c->h, FALSE);
  gst_harness_set_src_caps (c->h, test_small_caps ());
}

GstFlowReturn
test_calib_push (TestCalib *c, guint first, guint n)
{
  GstFlowReturn result = GST_FLOW_OK;

  for (guint i = first; i < first + n && result == GST_FLOW_OK; i++)
    result = gst_harness_push (c->h, test_small_frame (i));
  return result;
}

void
test_calib_free (TestCalib *c)
{
  if (c->h)
    gst_harness_teardown (c->h);
  gst_element_set_state (c->element, GST_STATE_NULL);
  gst_element_set_bus (c->element, NULL);
  gst_object_unref (c->element);
  gst_bus_set_flushing (c->bus, TRUE);
  gst_object_unref (c->bus);
}

GstStructure *
test_calib_done (TestCalib *c)
{
  GstStructure *done = test_wait_message (c->bus, "int8-calibration-done", 30);

  fail_unless (done != NULL, "no int8-calibration-done");
  return done;
}

guint64
test_field (const GstStructure *fields, const char *name)
{
  guint64 value = 0;

  fail_unless (gst_structure_get_uint64 (fields, name, &value), "no field %s", name);
  return value;
}

char *
test_contents (const char *path)
{
  char *text = NULL;

  fail_unless (g_file_get_contents (path, &text, NULL, NULL), "no file %s", path);
  return text;
}

/* What the engine makes of the same frames, without the element. */
char *
test_expected_table (guint first, guint n, CalibMethod method, guint batch)
{
  g_autoptr (EngineModel) model = engine_model_load (test_model (), NULL);
  KernelBackend *backend = kernel_open ("ref", NULL, 0);
  g_autoptr (CalibStatistics) statistics = calib_statistics_new (NULL, calib_method_flags (method));
  EngineCalibrator *calibrator = engine_calibrator_new (model, backend, batch, 1, statistics, NULL);
  g_autoptr (CalibTable) table = NULL;
  g_autoptr (GError) error = NULL;

  fail_unless (calibrator != NULL);
  for (guint i = first; i < first + n; i++) {
    g_autoptr (GstBuffer) buffer = test_small_frame (i);
    float *x = engine_calibrator_input (calibrator);
    GstMapInfo map;

    gst_buffer_map (buffer, &map, GST_MAP_READ);
    for (guint j = 0; j < 28 * 28; j++)
      x[j] = (float) (map.data[j] * (1 / 255.0));
    gst_buffer_unmap (buffer, &map);
    fail_unless (engine_calibrator_push (calibrator, NULL));
  }
  fail_unless (engine_calibrator_flush (calibrator, NULL));
  table = engine_calibration_table (model, statistics, method, 99.99, 8601, &error);
  fail_unless (table != NULL, "%s", error ? error->message : "?");
  engine_calibrator_free (calibrator);
  kernel_close (backend);
  return calib_table_to_string (table);
}
