/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tensor.h: the element types of activations. Halves are inside of FP16 engines alone: images and
 * results are floats there. */
#pragma once

typedef enum { ENGINE_TYPE_F32, ENGINE_TYPE_S8, ENGINE_TYPE_F16, ENGINE_TYPE_COUNT } EngineType;
