/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder.h: what a test leaves behind is removed. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

/* Removes a folder and all that is in it; links are removed and not followed. */
static inline void
test_folder_remove (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *entry = g_build_filename (path, name, NULL);

    if (g_file_test (entry, G_FILE_TEST_IS_DIR) && !g_file_test (entry, G_FILE_TEST_IS_SYMLINK))
      test_folder_remove (entry);
    else
      g_unlink (entry);
  }
  g_rmdir (path);
}
