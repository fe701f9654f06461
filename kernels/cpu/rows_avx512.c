/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rows_avx512.c: rows of floats, as the compiler vectorises rows.h for this instruction set. */
#include "kernels/cpu/rows.h"

ROWS_SLOTS (avx512)
