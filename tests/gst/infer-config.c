/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* infer-config.c: configurations of DeepStream's nvinfer as settings of int8infer. */
#include "tests/gst/common.h"

#include <glib/gstdio.h>
#include <string.h>

static const char *
write_config (const char *name, const char *text)
{
  const char *path = test_path (name);

  fail_unless (g_file_set_contents (path, text, -1, NULL));
  return path;
}

/* An element in READY that has read the file. */
static TestElement
ready (const char *launch, const char *path)
{
  TestElement test = {.element = NULL};

  test.element = test_element_new (launch, &test.bus);
  g_object_set (test.element, "config-file", path, NULL);
  fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
      GST_STATE_CHANGE_SUCCESS);
  return test;
}

static void
check_text (TestElement *test, const char *property, const char *expected)
{
  GValue value = G_VALUE_INIT;
  g_autofree char *text = NULL;

  g_object_get_property (G_OBJECT (test->element), property, &value);
  text = G_VALUE_HOLDS_STRING (&value) ? g_value_dup_string (&value)
                                       : gst_value_serialize (&value);
  fail_unless (g_strcmp0 (text, expected) == 0, "%s is %s, not %s", property, text, expected);
  g_value_unset (&value);
}

static void
check_number (TestElement *test, const char *property, double expected)
{
  double value;

  g_object_get (test->element, property, &value, NULL);
  fail_unless (value == expected);
}

static const char ini[] = "[property]\n"
                          "gpu-id=0\n"
                          "net-scale-factor=0.5\n"
                          "offsets=10;20;30;\n"
                          "onnx-file=models/net.onnx\n"
                          "int8-calib-file=/tables/net.table\n"
                          "model-engine-file=net_b16_gpu0_int8.engine\n"
                          "labelfile-path=labels.txt\n"
                          "batch-size=16\n"
                          "network-mode=1\n"
                          "network-type=1\n"
                          "model-color-format=1\n"
                          "maintain-aspect-ratio=1\n"
                          "symmetric-padding=1\n"
                          "scaling-filter=0\n"
                          "classifier-threshold=0.51\n"
                          "classifier-type=colour\n"
                          "process-mode=2\n"
                          "input-object-min-width=64\n"
                          "layer-device-precision=conv1:fp32:gpu;a:b:gpu:int8\n"
                          "gie-unique-id=2\n"
                          "[class-attrs-all]\n"
                          "threshold=0.4\n"
                          "[int8]\n"
                          "top-k=3\n"
                          "resize-mode=center-crop\n"
                          "apply-softmax=off\n"
                          "calibration-method=entropy2\n"
                          "object-class=car\n";

static const char yaml[] = "%YAML:1.0\n"
                           "# a comment\n"
                           "property:\n"
                           "  gpu-id: 0\n"
                           "  net-scale-factor: 0.5\n"
                           "  offsets: [10, 20, 30]\n"
                           "  onnx-file: models/net.onnx\n"
                           "  int8-calib-file: /tables/net.table\n"
                           "  model-engine-file: net_b16_gpu0_int8.engine\n"
                           "  labelfile-path: labels.txt\n"
                           "  batch-size: 16\n"
                           "  network-mode: 1\n"
                           "  ## a comment: with a colon\n"
                           "  is-classifier: 1\n"
                           "  model-color-format: 1\n"
                           "  maintain-aspect-ratio: 1\n"
                           "  symmetric-padding: 1\n"
                           "  scaling-filter: 0\n"
                           "  classifier-threshold: 0.51\n"
                           "  classifier-type: colour\n"
                           "  process-mode: 2\n"
                           "  input-object-min-width: 64\n"
                           "  layer-device-precision: conv1:fp32:gpu;a:b:gpu:int8\n"
                           "class-attrs-all:\n"
                           "  threshold: 0.4\n"
                           "int8:\n"
                           "  top-k: 3\n"
                           "  resize-mode: center-crop\n"
                           "  apply-softmax: off\n"
                           "  calibration-method: entropy2\n"
                           "  object-class: car\n";

GST_START_TEST (test_every_key)
{
  const char *path = __i__ ? write_config ("c.yml", yaml) : write_config ("c.txt", ini);
  TestElement test = ready ("int8infer", path);

  check_text (&test, "model", test_path ("models/net.onnx"));
  check_text (&test, "calibration-table", "/tables/net.table");
  check_text (&test, "engine", test_path ("net_b16_gpu0_int8.engine"));
  check_text (&test, "labels", test_path ("labels.txt"));
  check_text (&test, "backend", "auto");
  check_text (&test, "batch-size", "16");
  check_text (&test, "precision", "int8");
  check_text (&test, "preprocess", "raw");
  check_text (&test, "scale-factor", "0.5");
  check_text (&test, "mean", "5,10,15");
  check_text (&test, "std", "1");
  check_text (&test, "color-format", "bgr");
  check_text (&test, "resize-mode", "center-crop"); /* [int8] before maintain-aspect-ratio */
  check_text (&test, "scaling", "nearest");
  check_number (&test, "threshold", 0.51);
  check_text (&test, "attribute-name", "colour");
  check_text (&test, "process-mode", "objects");
  check_text (&test, "reclassify-interval", "4294967295");
  check_text (&test, "object-min-width", "64");
  check_text (&test, "object-class", "car");
  check_text (&test, "layer-precision", "conv1:fp32,a:b:int8");
  check_text (&test, "top-k", "3");
  check_text (&test, "softmax", "off");
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* A list of GPUs, and results that do not hold frames: of objects, as nvinfer; of whole frames it ignores that. */
GST_START_TEST (test_devices_and_async)
{
  g_autofree char *text = g_strdup_printf ("[property]\nonnx-file=net.onnx\nnetwork-type=1\ngpu-id=0;1\n"
                                           "process-mode=%d\nclassifier-async-mode=1\n",
      __i__);
  TestElement test = ready ("int8infer", write_config ("c.txt", text));

  check_text (&test, "device-id", "0;1");
  check_text (&test, "backend", "auto");
  check_text (&test, "async", __i__ == 2 ? "true" : "false");
  test_expect_no_error (test.bus);
  test_element_free (&test);
}
GST_END_TEST;

/* Whether it was set before or after the file. */
GST_START_TEST (test_by_hand_goes_first)
{
  const char *path = write_config ("c.txt", ini);
  TestElement test = {.element = NULL};

  test.element = test_element_new ("int8infer batch-size=2", &test.bus);
  g_object_set (test.element, "config-file", path, "top-k", 7, NULL);
  gst_element_set_state (test.element, GST_STATE_READY);
  check_text (&test, "batch-size", "2");
  check_text (&test, "top-k", "7");
  check_number (&test, "threshold", 0.51);
  /* What the file has set is not by hand: another file changes it. */
  gst_element_set_state (test.element, GST_STATE_NULL);
  g_object_set (test.element, "config-file",
      write_config ("d.txt", "[property]\nclassifier-threshold=0.7\nbatch-size=9\n"), NULL);
  gst_element_set_state (test.element, GST_STATE_READY);
  check_number (&test, "threshold", 0.7);
  check_text (&test, "batch-size", "2");
  test_element_free (&test);
}
GST_END_TEST;

/* Frames go through what the file says: model, table, labels, preprocessing. */
GST_START_TEST (test_runs)
{
  g_autofree char *text = g_strdup_printf ("[property]\nonnx-file=%s\nint8-calib-file=%s\n"
                                           "network-mode=1\nnetwork-type=1\nmodel-color-format=2\n"
                                           "net-scale-factor=0.0039215697906911373\n",
      test_model (), test_table ());
  TestElement test = {.element = NULL};
  const Classes expected = test_expected (ENGINE_PRECISION_INT8, 28, 28, 4, 1);
  GstBuffer *out;
  Classes got;

  test.element = test_element_new ("int8infer force-table=true", &test.bus);
  g_object_set (test.element, "config-file", write_config ("c.txt", text), NULL);
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (4));
  test_expect_no_error (test.bus);
  got = test_result (out);
  /* The factor is 1/255 but for 7 digits, so that levels may differ by one. */
  fail_unless_equals_int (got.n, 1);
  fail_unless_equals_int (got.ids[0], expected.ids[0]);
  gst_buffer_unref (out);
  test_element_free (&test);
}
GST_END_TEST;

/* --- Mean images ----------------------------------------------------------------------------- */

/* For the model of the tests, which sees grey pictures of 28x28. */
static const char *
write_mean (int width, guint8 first, guint8 others)
{
  g_autofree char *header = g_strdup_printf ("P5 %d 28 255\n", width);
  const gsize at = strlen (header), size = (gsize) width * 28;
  g_autofree char *data = g_malloc (at + size);

  memcpy (data, header, at);
  memset (data + at, others, size);
  memset (data + at, first, size / 2);
  fail_unless (g_file_set_contents (test_path ("mean.pgm"), data, (gssize) (at + size), NULL));
  return test_path ("mean.pgm");
}

/* What the model takes the frame for; more: a line of the group [property]. */
static Classes
run_less (const char *more)
{
  g_autofree char *text = g_strdup_printf ("[property]\nonnx-file=%s\nint8-calib-file=%s\n"
                                           "network-mode=1\nnetwork-type=1\nmodel-color-format=2\n"
                                           "net-scale-factor=0.00390625\n%s\n[int8]\ntop-k=10\n",
      test_model (), test_table (), more);
  TestElement test = {.element = NULL};
  GstBuffer *out;
  Classes got;

  test.element = test_element_new ("int8infer force-table=true", &test.bus);
  g_object_set (test.element, "config-file", write_config ("c.txt", text), NULL);
  test.h = gst_harness_new_with_element (test.element, "sink", "src");
  gst_harness_set_src_caps (test.h, test_small_caps ());
  out = gst_harness_push_and_pull (test.h, test_small_frame (4));
  test_expect_no_error (test.bus);
  got = test_result (out);
  gst_buffer_unref (out);
  test_element_free (&test);
  return got;
}

static gboolean
same_classes (const Classes *a, const Classes *b)
{
  gboolean same = a->n == b->n;

  for (guint i = 0; same && i < a->n; i++)
    same = a->ids[i] == b->ids[i] && a->confidences[i] == b->confidences[i];
  return same;
}

/* The same value everywhere is an offset; another engine is made for another picture at the same
 * path, and offsets beside a picture are not read. */
GST_START_TEST (test_mean_image)
{
  const Classes offset = run_less ("offsets=40");
  Classes even, uneven;

  write_mean (28, 40, 40);
  even = run_less ("mean-file=mean.pgm\noffsets=3");
  write_mean (28, 0, 250);
  uneven = run_less ("mean-file=mean.pgm");
  fail_unless_equals_int (offset.n, 10);
  fail_unless (same_classes (&offset, &even));
  fail_unless (!same_classes (&offset, &uneven));
}
GST_END_TEST;

/* By hand, and [int8], before [property]; a file without one undoes the one before. */
GST_START_TEST (test_mean_goes_first)
{
  const char *with = write_config ("c.txt", "[property]\nmean-file=a.ppm\n");
  const char *without = write_config ("d.txt", "[property]\noffsets=3\n");
  const char *own =
      write_config ("e.txt", "[property]\noffsets=3\n[int8]\nmean-file=b.ppm\n");
  TestElement test = ready ("int8infer", with);

  check_text (&test, "mean-file", test_path ("a.ppm"));
  check_text (&test, "mean", "");
  gst_element_set_state (test.element, GST_STATE_NULL);
  g_object_set (test.element, "config-file", without, NULL);
  gst_element_set_state (test.element, GST_STATE_READY);
  check_text (&test, "mean-file", "");
  check_text (&test, "mean", "3");
  test_element_free (&test);

  test = ready ("int8calib mean=5", with);
  check_text (&test, "mean", "5");
  check_text (&test, "mean-file", NULL);
  test_element_free (&test);
  test = ready ("int8infer mean-file=c.ppm", without);
  check_text (&test, "mean-file", "c.ppm");
  check_text (&test, "mean", NULL);
  test_element_free (&test);
  test = ready ("int8infer", own);
  check_text (&test, "mean-file", test_path ("b.ppm"));
  check_text (&test, "mean", "");
  test_element_free (&test);
}
GST_END_TEST;

/* Found before any frame, the file by its path, the size by the model's. */
GST_START_TEST (test_mean_refused)
{
  static const char *const elements[] = {"int8infer", "int8calib"};
  TestElement test = {.element = NULL};

  for (guint i = 0; i < G_N_ELEMENTS (elements); i++) {
    test.element = test_element_new (elements[i], &test.bus);
    g_object_set (test.element, "model", test_model (), "mean-file", test_path ("none.ppm"), NULL);
    if (i == 1)
      g_object_set (test.element, "table", test_path ("t.table"), NULL);
    fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_PAUSED),
        GST_STATE_CHANGE_FAILURE);
    test_expect_error (test.bus, "none.ppm", "No such file", NULL);
    test_element_free (&test);
  }
  test.element = test_element_new ("int8infer precision=fp32 preprocess=unit", &test.bus);
  g_object_set (test.element, "model", test_model (), "mean-file", write_mean (27, 1, 1), NULL);
  gst_element_set_state (test.element, GST_STATE_PAUSED);
  test_expect_error (test.bus, "the image is 27x28", "the network's input 28x28", NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* One file serves both elements: int8calib takes what concerns it. */
GST_START_TEST (test_calib)
{
  TestElement test = ready ("int8calib table=/nowhere/t.table", write_config ("c.txt", ini));

  check_text (&test, "model", test_path ("models/net.onnx"));
  check_text (&test, "mean", "5,10,15");
  check_text (&test, "process-mode", "objects");
  check_text (&test, "object-min-width", "64");
  check_text (&test, "method", "entropy2");
  check_text (&test, "batch-size", "1");
  check_text (&test, "interval", "1");
  test_element_free (&test);
}
GST_END_TEST;

static const struct {
  const char *text, *first, *second;
} bad[] = {
    {"[property]\nnetwork-type=0\n", "network-type=0", "detector"},
    {"[property]\nnetwork-mode=7\n", "network-mode=7", "from 0 to 3"},
    {"[property]\nbatch-size=0\n", "batch-size=0", "cannot have this value"},
    {"[property]\nbatch-size=many\n", "batch-size=many", "cannot have this value"},
    {"[property]\noffsets=1;two;3\n", "offsets=two", "number"},
    {"[property]\nnet-scale-factor=0\n", "net-scale-factor=0", "greater than 0"},
    {"[property]\nuff-file=a.uff\n", "uff-file", "ONNX"},
    {"[property]\nlayer-device-precision=conv1:gpu\n", "conv1:gpu", "layer:precision:device"},
    {"[property]\nprocess-mode=0\n", "process-mode=0", "objects"},
    {"[int8]\nresize-mode=sideways\n", "resize-mode=sideways", "gst-inspect"},
    {"[other]\na=b\n", "[property]", "nvinfer"},
    {"no file of any kind\n", "config-file", "c.txt"},
    {"", "[property]", "nvinfer"},
};

static void
check_error (const char *path, const char *first, const char *second)
{
  TestElement test = {.element = NULL};

  test.element = test_element_new ("int8infer", &test.bus);
  g_object_set (test.element, "config-file", path, NULL);
  fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
      GST_STATE_CHANGE_FAILURE);
  test_expect_error (test.bus, first, second, NULL);
  test_element_free (&test);
}

GST_START_TEST (test_errors)
{
  check_error (write_config ("c.txt", bad[__i__].text), bad[__i__].first, bad[__i__].second);
}
GST_END_TEST;

static const struct {
  const char *text, *first, *second;
} bad_yaml[] = {
    {"property:\n  a:\n    b: 1\n", "line 3", "mapping"},
    {"- property\n", "line 1", "list"},
    {"property: 3\n", "line 1", "group was expected"},
    {"property:\n  gpu-id: [1, [2]]\n", "line 2", "list"},
    {"property:\n  a: &x 1\n  b: *x\n", "line 3", "aliases"},
    {"property:\n\tgpu-id: 1\n", "line 2", "c.yml"},
};

GST_START_TEST (test_errors_of_yaml)
{
  check_error (write_config ("c.yml", bad_yaml[__i__].text), bad_yaml[__i__].first,
      bad_yaml[__i__].second);
}
GST_END_TEST;

GST_START_TEST (test_no_file)
{
  check_error ("/nowhere/c.txt", "/nowhere/c.txt", "No such file");
}
GST_END_TEST;

/* What is not obeyed is named, once, together. */
GST_START_TEST (test_warnings)
{
  TestElement test = ready ("int8infer",
      write_config ("c.txt", "[property]\nno-such-key=1\nenable-dla=1\nuse-dla-core=0\n"
                             "output-tensor-meta=1\ninterval=0\n[int8]\ntop-kk=1\nmethod=mse\n"));

  test_expect_warning (test.bus, "no-such-key=1: nobody knows", "enable-dla=1", "output-tensor-meta=1",
      "int8infer has no property top-kk", NULL);
  test_element_free (&test);
  /* Class 0 is one; it is of no interest where objects are named. */
  test = ready ("int8infer", write_config ("c.txt", "[property]\noperate-on-class-ids=0\n"));
  test_expect_warning (test.bus, "operate-on-class-ids=0", "object-class", NULL);
  test_element_free (&test);
  test = ready ("int8infer",
      write_config ("c.txt", "[property]\noperate-on-class-ids=0\n[int8]\nobject-class=car\n"));
  fail_if (
      gst_bus_have_pending (test.bus) && gst_bus_poll (test.bus, GST_MESSAGE_WARNING, 0) != NULL);
  test_element_free (&test);
}
GST_END_TEST;

/* Whether a line of the file begins with it. */
static gboolean
has_line (const char *contents, const char *beginning)
{
  g_auto (GStrv) lines = g_strsplit (contents, "\n", -1);
  gboolean has = FALSE;

  for (char **line = lines; *line; line++)
    has = has || g_str_has_prefix (g_strstrip (*line), beginning);
  return has;
}

/* Files of DeepStream's own samples, as they are. What they ask for that cannot be is an error. */
GST_START_TEST (test_real_files)
{
  const char *data = g_getenv ("INT8_TEST_DATA");
  g_autofree char *folder = data ? g_build_filename (data, "nvinfer-configs", NULL)
                                 : g_build_filename (g_getenv ("INT8_SOURCE_DIR"),
                                       "../shared/data/nvinfer-configs", NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0, refused = 0;
  const char *name;

  if (!dir) {
    printf ("SKIP %s is not there\n", folder);
    return;
  }
  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL), *contents = NULL;
    TestElement test = {.element = NULL};
    gboolean impossible;

    fail_unless (g_file_get_contents (path, &contents, NULL, NULL));
    impossible = has_line (contents, "custom-lib-path") ||
                 has_line (contents, "input-tensor-from-meta=1");
    test.element = test_element_new ("int8infer", &test.bus);
    g_object_set (test.element, "config-file", path, NULL);
    fail_unless_equals_int (gst_element_set_state (test.element, GST_STATE_READY),
        impossible ? GST_STATE_CHANGE_FAILURE : GST_STATE_CHANGE_SUCCESS);
    n++;
    refused += impossible;
    test_element_free (&test);
  }
  fail_unless (n >= 10 && refused < n);
}
GST_END_TEST;

static Suite *
make_suite (void)
{
  Suite *suite = suite_create ("int8infer config-file");
  TCase *tcase = tcase_create ("config");

  tcase_set_timeout (tcase, 60);
  suite_add_tcase (suite, tcase);
  tcase_add_checked_fixture (tcase, test_setup, test_teardown);
  tcase_add_loop_test (tcase, test_every_key, 0, 2);
  tcase_add_loop_test (tcase, test_devices_and_async, 1, 3);
  tcase_add_test (tcase, test_by_hand_goes_first);
  tcase_add_test (tcase, test_runs);
  tcase_add_test (tcase, test_mean_image);
  tcase_add_test (tcase, test_mean_goes_first);
  tcase_add_test (tcase, test_mean_refused);
  tcase_add_test (tcase, test_calib);
  tcase_add_loop_test (tcase, test_errors, 0, G_N_ELEMENTS (bad));
  tcase_add_loop_test (tcase, test_errors_of_yaml, 0, G_N_ELEMENTS (bad_yaml));
  tcase_add_test (tcase, test_no_file);
  tcase_add_test (tcase, test_warnings);
  tcase_add_test (tcase, test_real_files);
  return suite;
}

int
main (int argc, char **argv)
{
  return test_main (argc, argv, "infer-config", make_suite);
}
