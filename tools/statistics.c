/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* statistics.c: statistics files of one model, merged without the frames. */
#include "tools/tool.h"

/* A file that is named twice would count twice. */
static gboolean
check_different (int n, char **paths, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (int i = 0; i < n; i++) {
    char *path = g_canonicalize_filename (paths[i], NULL);
    if (!g_hash_table_add (seen, path))
      return tool_usage (error, "%s is named twice, and its frames would count twice", paths[i]);
  }
  return TRUE;
}

gboolean
tool_merge (int argc, char **argv, GError **error)
{
  g_autofree char *output = NULL;
  const GOptionEntry entries[] = {
      {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Statistics file to write", "FILE"},
      {NULL},
  };

  const ToolSyntax syntax = {.arguments = "FILE...",
      .summary = "Merges statistics of one model and one preprocessing. One file is in memory at a time.",
      .entries = entries,
      .example = "camera1.int8stats camera2.int8stats --output both.int8stats"};

  if (!tool_parse (&argc, &argv, &syntax, NULL, error))
    return FALSE;
  if (argc < 2 || !output)
    return tool_usage (error, "--output and at least one statistics file are needed");
  if (!check_different (argc - 1, argv + 1, error) || !tool_check_output (NULL, output, error))
    return FALSE;

  g_autoptr (CalibStatistics) sum = calib_statistics_load (argv[1], error);
  if (!sum)
    return FALSE;
  for (int i = 2; i < argc; i++) {
    g_autoptr (CalibStatistics) next = calib_statistics_load (argv[i], error);
    if (!next)
      return FALSE;
    if (!calib_statistics_merge (sum, next, error)) {
      g_prefix_error (error, "%s and %s: ", argv[1], argv[i]);
      return FALSE;
    }
  }
  if (!calib_statistics_save (sum, output, error))
    return FALSE;
  g_print ("%s: %" G_GUINT64_FORMAT " frames from %d files\n", output,
      calib_statistics_provenance (sum)->frames, argc - 1);
  return TRUE;
}
