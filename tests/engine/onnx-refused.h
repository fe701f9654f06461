/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx-refused.h: models as text (onnx-text.h), and what is said of those that are refused. Every message begins
 * with the file.
 */
#pragma once

#include <string.h>

#include "engine/engine.h"
#include "tests/check.h"
#include "tests/engine/onnx-text.h"
#include "tests/folder.h"

#define MODEL       ENGINE_ERROR_MODEL
#define UNSUPPORTED ENGINE_ERROR_UNSUPPORTED
#define MEMORY      ENGINE_ERROR_MEMORY

static char *folder; /* of this program */

typedef struct {
  const char *text;
  EngineError code;
  const char *message; /* part of it */
} Case;

/* That a file of these bytes is refused with a message that begins with the file and contains `message`. */
static inline void
check_refused (const char *label, const guint8 *data, gsize size, int code, const char *message)
{
  g_autofree char *path = g_build_filename (folder, "model.onnx", NULL);
  g_autofree char *prefix = g_strdup_printf ("model \"%s\"", path);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineModel) model = NULL;

  g_unlink (path); /* GLib 2.74 does not cut a longer file */
  CHECK (g_file_set_contents_full (path, (const char *) data, size, G_FILE_SET_CONTENTS_NONE, 0600,
      NULL));
  model = engine_model_load (path, &error);
  if (model) {
    CHECK_FAIL ("%s: loaded; expected: %s", label, message);
    return;
  }
  if (error->domain != ENGINE_ERROR || error->code != code || !strstr (error->message, message) ||
      !g_str_has_prefix (error->message, prefix) || !g_utf8_validate (error->message, -1, NULL))
    CHECK_FAIL ("%s:\n--- got %d\n%s\n--- expected %d\n%s", label, error->code, error->message,
        code, message);
}

static inline void
check_cases (const Case *cases, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GByteArray) bytes = onnx_text (cases[i].text);

    check_refused (cases[i].text, bytes->data, bytes->len, cases[i].code, cases[i].message);
  }
}

#define CHECK_CASES(...)                                                                           \
  do {                                                                                             \
    static const Case check_cases_table[] = {__VA_ARGS__};                                         \
    check_cases (check_cases_table, G_N_ELEMENTS (check_cases_table));                             \
  } while (0)

static inline void
refused_begin (void)
{
  folder = g_dir_make_tmp ("int8-onnx-XXXXXX", NULL);
}

/* check_done() */
static inline int
refused_end (void)
{
  test_folder_remove (folder);
  g_free (folder);
  return check_done ();
}
