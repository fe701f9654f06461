/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.h: what a request names, read. Internal to engine/.
 */
#pragma once

#include "engine/build.h"

typedef struct {
  EngineProvenance wanted; /* of the engine that would fit, its key included */
  EngineModel *model;      /* NULL until it is needed */
  /* NULL where there is none, and for fp32 and fp16 */
  CalibTable *table;
  CalibDynamicRanges *dynamic_ranges;
  EngineLayerRules *rules;
  EngineBias *bias; /* beside the table */
} EngineRequestInputs;

/* cache_folder: for hashes of models, or NULL. *note: something that people should know, or NULL. */
gboolean engine_request_inputs_read (EngineRequestInputs *inputs, const EngineRequest *request,
    const char *cache_folder, char **note, GError **error);
/* Whether the table was made for the model and the preprocessing. *note: that it was not, and is used
 * by force. */
gboolean engine_request_inputs_check (const EngineRequestInputs *inputs,
    const EngineRequest *request, char **note, GError **error);
void engine_request_inputs_clear (EngineRequestInputs *inputs);
