/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/chain.h: layer normalisation as it was exported before opset 17: a chain of nodes whose parts
 * mean nothing to the graph. Internal to the importer.
 */
#pragma once

#include "engine/onnx/import.h"

/* What is to become of the nodes of a model. */
typedef struct _EngineOnnxChains EngineOnnxChains;

EngineOnnxChains *engine_onnx_chains_new (const EngineOnnx__GraphProto *proto);
void engine_onnx_chains_free (EngineOnnxChains *chains); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineOnnxChains, engine_onnx_chains_free)

/* Whether a node is inside a chain: whoever ends it computes it. */
gboolean engine_onnx_chains_skip (const EngineOnnxChains *chains,
    const EngineOnnx__NodeProto *node);
/* Whether it ends one: then it is imported as engine_onnx_import_chain() does. */
gboolean engine_onnx_chains_end (const EngineOnnxChains *chains, const EngineOnnx__NodeProto *node);
gboolean engine_onnx_import_chain (EngineOnnx *onnx, const EngineOnnxChains *chains,
    const EngineOnnxNode *node, GError **error);
