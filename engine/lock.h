/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h: one builder of a file at a time, over all processes. Internal to engine/.
 */
#pragma once

#include <gio/gio.h>

typedef struct _EngineLock EngineLock;

/* Takes `<path>.lock` (flock), waiting for whoever has it. The lock file is removed on release; one
 * that a crash left behind is not locked and stops nobody. */
EngineLock *engine_lock_take (const char *path, GCancellable *cancellable, GError **error);
void engine_lock_release (EngineLock *lock); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EngineLock, engine_lock_release)
