/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gstint8calib-check.c: what can be refused before a calibration begins. */
#include "gst/gstint8calib-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

/* Whether a file could be replaced at `path`: a file is made beside it and removed again, since
 * permissions alone say nothing about read-only or full file systems. */
static gboolean
check_writable (const char *path, const char *property, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *probe = g_build_filename (folder, ".int8calib-XXXXXX", NULL);
  const char *hint;
  int fd;

  if (g_file_test (path, G_FILE_TEST_IS_DIR)) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR, "%s=%s is a folder; name a file in it",
        property, path);
    return FALSE;
  }
  fd = g_mkstemp (probe);
  if (fd >= 0) {
    close (fd);
    g_unlink (probe);
    return TRUE;
  }
  hint = errno == ENOENT   ? "make the folder, or name another"
         : errno == ENOSPC ? "free some space, or name another folder"
                           : "allow writing to the folder, or name another";
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno),
      "%s=%s: nothing can be written in the folder %s (%s): %s", property, path, folder,
      g_strerror (errno), hint);
  return FALSE;
}

/* Here rather than where the model is loaded, so that a wrong name fails the change of state. */
static gboolean
check_readable (const char *path, const char *property, GError **error)
{
  if (!path || !*path || g_access (path, R_OK) == 0)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s=%s cannot be read: %s",
      property, path, g_strerror (errno));
  return FALSE;
}

static gboolean
is_same_file (const char *a, const char *b)
{
  g_autofree char *whole = NULL, *other = NULL;
  GStatBuf one, two;

  if (!a || !b || !*a || !*b)
    return FALSE;
  if (g_stat (a, &one) == 0 && g_stat (b, &two) == 0)
    return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
  whole = g_canonicalize_filename (a, NULL);
  other = g_canonicalize_filename (b, NULL);
  return g_str_equal (whole, other);
}

/* Nothing is written over what is read, or twice to one place. */
static gboolean
check_places (const GstInt8CalibSettings *settings, GError **error)
{
  const struct {
    const char *property, *path;
  } files[] = {
      {"table", settings->table},
      {"statistics", settings->statistics},
      {"qdq-model", settings->qdq_model},
      {"report", settings->report},
      {"model", settings->config.model}, /* from here on they are read */
      {"proto-file", settings->config.proto_file},
      {"mean-file", settings->config.mean_file},
  };
  const gsize n_written = 4;

  for (gsize i = 0; i < n_written; i++)
    for (gsize k = i + 1; k < G_N_ELEMENTS (files); k++)
      if (is_same_file (files[i].path, files[k].path)) {
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
            "%s=%s is the file of \"%s\", too, and would be written over: name another",
            files[i].property, files[i].path, files[k].property);
        return FALSE;
      }
  return TRUE;
}

char **
gst_int8_calib_merge_paths (const GstInt8CalibSettings *settings)
{
  g_auto (GStrv) items = g_strsplit (settings->merge ? settings->merge : "", ";", -1);
  g_autoptr (GStrvBuilder) paths = g_strv_builder_new ();

  for (char **item = items; *item; item++)
    if (**item)
      g_strv_builder_add (paths, *item);
  return g_strv_builder_end (paths);
}

static gboolean
check_merge (const GstInt8CalibSettings *settings, GError **error)
{
  g_auto (GStrv) paths = gst_int8_calib_merge_paths (settings);

  if (paths[0] && (calib_method_flags (settings->method) & CALIB_HISTOGRAM_TENSORRT)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE,
        "method=%s depends on the order of frames, so statistics cannot be merged for it; take "
        "method=entropy2",
        calib_method_name (settings->method));
    return FALSE;
  }
  for (char **path = paths; *path; path++)
    if (is_same_file (*path, settings->statistics)) {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
          "merge lists %s, which \"statistics\" continues: its frames would count twice", *path);
      return FALSE;
    }
  return TRUE;
}

gboolean
gst_int8_calib_check_settings (const GstInt8CalibSettings *settings, GError **error)
{
  EnginePreprocess preprocess;

  if (!settings->config.model || !*settings->config.model) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "no model: set the property \"model\" to the path of an ONNX or Caffe classifier");
    return FALSE;
  }
  if (!settings->table && !settings->statistics) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "nothing to write: set \"table\" to the path of the calibration table that is to be "
        "made, \"statistics\" to that of a statistics file, or both");
    return FALSE;
  }
  if (settings->precision_target > 0 && !settings->table) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "precision-target writes layers beside the table: set \"table\", too");
    return FALSE;
  }
  if ((settings->qdq_model || settings->report) && !settings->table) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
        "%s is made with the table: set \"table\", too",
        settings->qdq_model ? "qdq-model" : "report");
    return FALSE;
  }
  if (settings->table && settings->table_exists == GST_INT8_TABLE_EXISTS_REFUSE &&
      g_file_test (settings->table, G_FILE_TEST_EXISTS)) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
        "table=%s exists already and table-exists=refuse: move it away, or set table-exists to "
        "\"overwrite\" or \"use\"",
        settings->table);
    return FALSE;
  }
  if (settings->auto_stop && calib_method_flags (settings->method)) {
    g_set_error (error, CALIB_ERROR, CALIB_ERROR_UNAVAILABLE,
        "auto-stop looks at parts of the frames, but method=%s depends on the order of all of them; take "
        "max-frames, or another method",
        calib_method_name (settings->method));
    return FALSE;
  }
  return check_readable (settings->config.model, "model", error) &&
         check_readable (settings->config.proto_file, "proto-file", error) &&
         gst_int8_config_preprocess (&settings->config, 0, &preprocess, error) &&
         check_places (settings, error) && check_merge (settings, error) &&
         (!settings->table || gst_int8_calib_table_is_there (settings) ||
             check_writable (settings->table, "table", error)) &&
         (!settings->statistics || check_writable (settings->statistics, "statistics", error)) &&
         (!settings->qdq_model || check_writable (settings->qdq_model, "qdq-model", error)) &&
         (!settings->report || check_writable (settings->report, "report", error));
}

gboolean
gst_int8_calib_table_is_there (const GstInt8CalibSettings *settings)
{
  return settings->table && settings->table_exists == GST_INT8_TABLE_EXISTS_USE &&
         g_file_test (settings->table, G_FILE_TEST_IS_REGULAR);
}
