/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caffe-seeds.h: nets for the two fuzz targets of Caffe's files, each with the weights that it needs,
 * as caffe-model.h writes them; together every layer type, both generations, and the odd spellings of
 * the text format.
 */
#pragma once

#include "engine/caffe/caffe.h"
#include "engine/exec.h"
#include "engine/onnx/onnx.h"
#include "engine/pass/pass.h"
#include "tests/engine/caffe-model.h"
#include "tests/fuzz/fuzz-graph.h"
#include "tests/fuzz/fuzz.h"

static const struct {
  const char *text, *weights;
  gboolean v1;
} caffe_seeds[] = {
    {"name: 'small' # a comment\ninput: \"data\"\ninput_dim: 1 input_dim: 3 input_dim: 6 input_dim: 6\n"
     "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param { num_output: 4 "
     "kernel_size: 3 pad: 1 stride: 2 weight_filler { type: 'xavier' } } }\n"
     "layer { name: 'b' type: 'BatchNorm' bottom: 'c' top: 'c' batch_norm_param { eps: 1e-3 } }\n"
     "layer { name: 's' type: 'Scale' bottom: 'c' top: 'c' scale_param { bias_term: true } }\n"
     "layer { name: 'r' type: 'ReLU' bottom: 'c' top: 'c' relu_param { negative_slope: 0.1f } }\n"
     "layer { name: 'p' type: 'Pooling' bottom: 'c' top: 'p' pooling_param { pool: AVE kernel_size: 2 "
     "stride: 2 } }\n"
     "layer { name: 'ip' type: 'InnerProduct' bottom: 'p' top: 'ip' inner_product_param { num_output: 3 "
     "} }\n"
     "layer { name: 'prob' type: 'Softmax' bottom: 'ip' top: 'prob' include { phase: TEST } }\n",
        "c 4 3 3 3 | 4; b positive 4 | positive 4 | positive 1; s half 4 | raw 4; ip 3 16 | 3",
        FALSE},
    {"layers < name: \"data\" type: Input top: \"data\" input_param: { shape: { dim: [2, 1, 4, 4] } } >\n"
     "layers { name: \"ip\" type: INNER_PRODUCT bottom: \"data\" top: \"ip\" blobs_lr: 1 "
     "inner_product_param { num_output: 2 transpose: false }; }\n"
     "layers { name: \"d\" type: DROPOUT bottom: \"ip\" top: \"ip\" }, layers { name: 'loss' type: "
     "SOFTMAX_LOSS bottom: 'ip' bottom: 'label' }",
        "ip legacy 1 1 2 16 | legacy 1 1 1 2", TRUE},
    {"input: 'data' input_shape { dim: 4 dim: 4 dim: 3 dim: 3 }\n"
     "layer { name: 'a' type: 'Power' bottom: 'data' top: 'a' power_param { power: 2 scale: 0.5 shift: 1 "
     "} }\nlayer { name: 'e' type: 'Eltwise' bottom: 'data' bottom: 'a' top: 'e' eltwise_param { coeff: 1 "
     "coeff: -0.5 } }\nlayer { name: 'k' type: 'Concat' bottom: 'e' bottom: 'a' top: 'k' }\n"
     "layer { name: 'l' type: 'Slice' bottom: 'k' top: 'l1' top: 'l2' slice_param { slice_point: 3 } }\n"
     "layer { name: 'q' type: 'PReLU' bottom: 'l2' top: 'l2' }\n"
     "layer { name: 'u' type: 'ELU' bottom: 'l1' top: 'u' }\n"
     "layer { name: 'g' type: 'Pooling' bottom: 'u' top: 'g' pooling_param { global_pooling: true } }\n"
     "layer { name: 'f' type: 'Flatten' bottom: 'g' top: 'f' }\n"
     "layer { name: 'w' type: 'Reshape' bottom: 'l2' top: 'w' reshape_param { shape { dim: 0 dim: -1 } } "
     "}\nlayer { name: 't' type: 'TanH' bottom: 'w' top: 't' }\n"
     "layer { name: 'o' type: 'Bias' bottom: 't' top: 'o' }\n"
     "layer { name: 'z' type: 'Concat' bottom: 'o' bottom: 'f' top: 'z' concat_param { axis: 1 } }",
        "q 5; o double 45", FALSE},
};

/* Either an error says what is wrong, or the graph is what the verifier promises, and a small one
 * runs. */
static inline void
caffe_import (const void *text, size_t text_size, const void *weights, size_t weights_size)
{
  g_autoptr (GBytes) text_bytes = g_bytes_new (text, text_size);
  g_autoptr (GBytes) weights_bytes = g_bytes_new (weights, weights_size);
  g_autoptr (GError) error = NULL;
  g_autoptr (EngineOnnxFile) file =
      engine_caffe_new (weights_bytes, "fuzz.caffemodel", text_bytes, "fuzz.prototxt", &error);
  g_autoptr (EngineGraph) graph = file ? engine_onnx_import_file (file, NULL, &error) : NULL;

  FUZZ_REQUIRE (!graph == !!error);
  if (error) {
    FUZZ_REQUIRE (error->domain == ENGINE_ERROR);
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return;
  }
  if (!engine_passes_float (graph, &error)) {
    FUZZ_REQUIRE (g_error_matches (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED));
    return;
  }
  if (fuzz_work (graph) < 1e6)
    fuzz_run_graph (g_steal_pointer (&graph));
}
