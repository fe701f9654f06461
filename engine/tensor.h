/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tensor.h: the element types of activations. */
#pragma once

typedef enum { ENGINE_TYPE_F32, ENGINE_TYPE_S8 } EngineType;
