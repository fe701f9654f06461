/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * linked.h: tests that the plugin is linked into, with its engine, so that they can change how a back end
 * behaves: hold it, or break it.
 */
#pragma once

#include "tests/gst/common.h"

/* Instead of test_main(). */
int test_main_linked (int argc, char **argv, const char *name, Suite *(*make) (void) );

/* The back end "ref", which every wait for its queue asks what to do, but those of the thread that made this: the
 * test computes what it expects with it, too. */
typedef struct {
  KernelBackend *backend;
  GThread *owner;
  GMutex lock;
  GCond changed;
  gboolean held;       /* waits last until it is not */
  guint n_waiting;     /* for that */
  int left;            /* waits that still succeed; below 0: all */
  const char *failure; /* of the others */
} TestDevice;
/* One at a time; from before there is an element with backend=ref until there is none. */
void test_device_init (TestDevice *device);
void test_device_clear (TestDevice *device);
void test_device_hold (TestDevice *device);
void test_device_release (TestDevice *device);
/* Until somebody waits for it. */
void test_device_wait_for_visitor (TestDevice *device);
void test_device_break (TestDevice *device, int left, const char *failure);
