/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precision.h: what a network computes in, and the rules by which single layers differ. Part of engine.h.
 *
 * Rules belong to one thread while they are added to, and are shared freely then.
 */
#pragma once

#include <gio/gio.h>
#include "engine/tensor.h"

G_BEGIN_DECLS

typedef enum {
  ENGINE_PRECISION_INT8,
  ENGINE_PRECISION_FP32,
  ENGINE_PRECISION_MIXED, /* int8, but where layer rules say otherwise */
  ENGINE_PRECISION_FP16,  /* halves; runs where a back end has them: devices and ref */
  ENGINE_PRECISION_COUNT
} EnginePrecision;
const char *engine_precision_name (EnginePrecision precision); /* "int8", "fp32", "mixed", "fp16" */

/* Which layers compute in which precision, and what type their outputs have: an ordered list of
 * patterns, of which the last that matches wins, for precision and output type each.
 *
 * Text is trtexec's: `pattern:precision` (int8, fp32) or `pattern:output=type` (int8, fp32),
 * separated by commas or line ends and split at the last ':'; blanks around are trimmed; a line that
 * begins with '#' is skipped. `*` is any number of characters, `?` one; `\` takes the next character
 * as it is. A pattern without them names the layer whose output tensor has this name, else the layers
 * with this name; one with them is matched with the names of layers and of their output tensors. */
typedef struct _EngineLayerRules EngineLayerRules;

EngineLayerRules *engine_layer_rules_new (void); /* none: everything as the precision says */
EngineLayerRules *engine_layer_rules_copy (const EngineLayerRules *rules);
void engine_layer_rules_free (EngineLayerRules *rules); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineLayerRules, engine_layer_rules_free)

/* ENGINE_ERROR_RULES with the entry and its line. */
EngineLayerRules *engine_layer_rules_parse (const char *text, GError **error);
/* The same of a file, and G_FILE_ERROR. */
EngineLayerRules *engine_layer_rules_load (const char *path, GError **error);
/* Rules as text, or, behind '@', the path of a file of them: what options and properties take. */
EngineLayerRules *engine_layer_rules_from_option (const char *text, GError **error);
/* Canonical, a line each; the same rules give the same text, and it is read as the same rules. */
char *engine_layer_rules_to_string (const EngineLayerRules *rules);
guint engine_layer_rules_n_entries (const EngineLayerRules *rules);

/* Append a rule. pattern: as above; engine_layer_pattern() makes one of a name. */
void engine_layer_rules_add (EngineLayerRules *rules, const char *pattern,
    EnginePrecision precision); /* int8 or fp32 */
void engine_layer_rules_add_output (EngineLayerRules *rules, const char *pattern, EngineType type);
void engine_layer_rules_append (EngineLayerRules *rules, const EngineLayerRules *more);
char *engine_layer_pattern (const char *name); /* matches this name only */

/* `<table>.precision`, beside a calibration table: the rules of ENGINE_PRECISION_MIXED. */
char *engine_layer_rules_path (const char *table);

G_END_DECLS
