/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * comma.h: a locale with a comma for a point, for what must not depend on it.
 */
#pragma once

#include <locale.h>
#include <stddef.h>

/* 0 where no such locale is installed. */
static inline int
comma_begin (void)
{
  static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};

  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (setlocale (LC_ALL, names[i]))
      return 1;
  return 0;
}

static inline void
comma_end (void)
{
  setlocale (LC_ALL, "C");
}

#define COMMA_MISSING "no locale with a comma for a point is installed"
