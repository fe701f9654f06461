/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* error.c: the error domain of engine/. */
#include "engine/engine.h"

/* clang-format off */
G_DEFINE_QUARK (engine-error-quark, engine_error)
/* clang-format on */
