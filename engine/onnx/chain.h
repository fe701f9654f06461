/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * onnx/chain.h: layer normalisations that are written out, as PyTorch exports them for older opsets and
 * Keras always. Internal to the importer.
 */
#pragma once

#include "engine/onnx/import.h"

#define ENGINE_ONNX_CHAIN_NODES 16

/* Nodes of the ops of one, connected like one. Whether they are one, their types, axes and constants say,
 * which are known when the last node is to be imported: none of them is before. */
typedef struct {
  const EngineOnnx__NodeProto *nodes[ENGINE_ONNX_CHAIN_NODES]; /* each behind those that it reads */
  int n;
  const EngineOnnx__NodeProto *mean, *copy;       /* a Reshape of the mean, or NULL */
  const EngineOnnx__NodeProto *square, *variance; /* Pow or Mul, and its mean */
  const EngineOnnx__NodeProto *epsilon;           /* Add */
  const EngineOnnx__NodeProto *scale, *shift;     /* Mul and Add, or NULL */
} EngineOnnxChain;

static inline const EngineOnnx__NodeProto *
engine_onnx_chain_end (const EngineOnnxChain *chain)
{
  return chain->nodes[chain->n - 1];
}

typedef struct _EngineOnnxChains EngineOnnxChains;

EngineOnnxChains *engine_onnx_chains_new (const EngineOnnx__GraphProto *proto);
void engine_onnx_chains_free (EngineOnnxChains *chains);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineOnnxChains, engine_onnx_chains_free)

/* The one that a node belongs to; NULL for most. */
const EngineOnnxChain *engine_onnx_chain_of (const EngineOnnxChains *chains,
    const EngineOnnx__NodeProto *node);

/* onnx/chain-read.c */
typedef struct {
  EngineOnnxValue *x;
  int axis;
  const EngineOnnxConstant *scale, *shift; /* or NULL */
  float epsilon;
} EngineOnnxLayerNorm;
/* FALSE where it is none that engine_onnx_layernorm() takes; its nodes may be good for something else. */
gboolean engine_onnx_chain_read (EngineOnnx *onnx, const EngineOnnxChain *chain,
    EngineOnnxLayerNorm *norm);
