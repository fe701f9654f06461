/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.h: engine files, below engine_save() and engine_load(). Internal to engine/.
 *
 *   file         the container: header, checksums, mapping, atomic writing
 *   file-pack    the message: a graph, its provenance and its tactics
 *   file-unpack  the same from it
 *   file-node    the parameters of every op, in both directions
 */
#pragma once

#include "engine/build.h"

/* Raised when files of the old layout cannot be read any more. */
#define ENGINE_FILE_VERSION 1

typedef enum {
  ENGINE_FILE_GOOD,
  ENGINE_FILE_ABSENT,
  ENGINE_FILE_UNREADABLE,
  ENGINE_FILE_FOREIGN, /* does not carry our magic: never overwritten */
  ENGINE_FILE_OTHER,   /* ours, of another version of the layout */
  ENGINE_FILE_CORRUPT
} EngineFileState;

/* Maps and checks a file. state tells what became of it, also on success. */
Engine *engine_file_read (const char *path, EngineFileState *state, GError **error);
/* The same from memory; takes nothing. name is for messages. The engine keeps contents alive. */
Engine *engine_file_parse (GBytes *contents, const char *name, EngineFileState *state,
    GError **error);

/* The bytes of the file. key replaces the engine's own where it is not NULL. */
GBytes *engine_file_bytes (const Engine *engine, const char *key, GError **error);
/* Sets the three checksums of a file whose header says where the constants begin. */
void engine_file_seal (guint8 *file, gsize size);

/* Writes atomically, without taking the lock. Fails with ENGINE_ERROR_FILE where something foreign
 * is in the way. */
gboolean engine_file_write (const Engine *engine, const char *key, const char *path,
    GError **error);

/* The message (to be freed) and the bytes of the constants that belong to it. */
void *engine_file_pack (const Engine *engine, const char *key, gsize *message_size,
    gsize *constants_size);
/* Copies the constants to where the message says they are; memory holds constants_size zeros. */
void engine_file_copy_constants (const Engine *engine, guint8 *memory);
/* The graph is not verified yet, but every constant lies inside `constants`, which it refers to. On
 * failure `error` says what is wrong with the contents, without the file's name. */
Engine *engine_file_unpack (const void *message, gsize size, GBytes *constants, GError **error);

/* The parameters of a node as numbers, to and from. FALSE where their count is not the op's. */
void engine_file_node_write (const EngineNode *node, GArray *ints, GArray *floats);
gboolean engine_file_node_read (EngineNode *node, const gint32 *ints, gsize n_ints,
    const float *floats, gsize n_floats);
