/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * point.h: numbers with a decimal point in texts that are kept in files or read by programs, whatever the locale
 * of the process. Internal to engine/.
 */
#pragma once

#include <glib.h>
#include <locale.h>

/* Until the end of its scope, what this thread prints has a point: g_auto (EnginePoint) point = engine_point (); */
typedef locale_t EnginePoint; /* the locale before */

static inline EnginePoint
engine_point (void)
{
  return uselocale (newlocale (LC_NUMERIC_MASK, "C", duplocale (uselocale ((locale_t) 0))));
}

static inline void
engine_point_end (EnginePoint before)
{
  freelocale (uselocale (before));
}

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (EnginePoint, engine_point_end, (EnginePoint) 0)
