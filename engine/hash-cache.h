/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hash-cache.h: SHA-256 of models, remembered, so that a start does not read 100 MB twice. Internal
 * to engine/.
 *
 * The file `hashes` in the cache folder names a model by device, inode, size and modification time
 * in nanoseconds, together with its external data files. A file that was modified less than two
 * seconds ago is not remembered: it may change again within the resolution of the clock.
 */
#pragma once

#include "engine/engine.h"

/* The SHA-256 of a model as engine_model_sha256() has it. Where it is not remembered the model is
 * loaded, and handed over in *model, else *model is NULL. cache_folder: NULL remembers nothing.
 * note (may be NULL) receives why it could not be remembered, where that is worth telling. */
char *engine_hash_model (const char *path, const EngineModelOptions *options,
    const char *cache_folder, EngineModel **model, char **note, GError **error);
