/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * point.h: numbers with a decimal point in texts that are kept in files or read by programs, whatever the locale
 * of the process. Internal to engine/.
 */
#pragma once

#include <glib.h>
#include <locale.h>

/* Until the end of its scope, what this thread prints is as in the locale "C":
 *     g_auto (EnginePoint) point = engine_point (); */
typedef locale_t EnginePoint; /* the locale before */

static inline EnginePoint
engine_point (void)
{
  static gsize plain;

  if (g_once_init_enter (&plain))
    g_once_init_leave (&plain, (gsize) newlocale (LC_ALL_MASK, "C", (locale_t) 0));
  return uselocale ((locale_t) plain);
}

static inline void
engine_point_end (EnginePoint before)
{
  uselocale (before);
}

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (EnginePoint, engine_point_end, (EnginePoint) 0)
