/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live.h: the engines that are alive in this process, so that one content is one object: its weights
 * are mapped once, and packed once (weights.h). Internal to engine/. Threads: any.
 *
 * A name stands for a content: "key <SHA-256>" of a request, "file <identity>" of a file. The list
 * keeps nothing alive. An engine is let go of under its lock, so that nobody finds one that is being
 * freed.
 */
#pragma once

#include "engine/engine.h"

/* A reference to the engine of that name, or NULL. */
Engine *engine_live_find (const char *name);
/* Gives the engine (taken) the name; where there is another of the name already, that one is
 * returned and `engine` let go. */
Engine *engine_live_share (const char *name, Engine *engine);
/* Whether that was the last reference: then it has no names any more and is the caller's to free. */
gboolean engine_live_unref (Engine *engine, gatomicrefcount *references);

/* One thread at a time may be busy with a name; the others wait. FALSE: cancelled. */
gboolean engine_live_begin (const char *name, GCancellable *cancellable, GError **error);
void engine_live_end (const char *name);
