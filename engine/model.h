/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * model.h: the inside of an EngineModel. Internal to engine/.
 */
#pragma once

#include "engine/engine.h"
#include "engine/graph.h"

struct _EngineModel {
  gatomicrefcount references;
  char *path;         /* given to engine_model_load(); as messages show it */
  char *sha256;       /* hex, of the file and its external data */
  EngineGraph *graph; /* after the float passes; the input is the first value of graph->inputs */
};
