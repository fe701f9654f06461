/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sanitizer.c: whole stacks for AddressSanitizer, linked into every test of gst/. GLib is built
 * without frame pointers: with the fast unwinder a leak of its own would not be recognised by
 * tests/lsan.supp.
 */
extern const char *__asan_default_options (void);

__attribute__ ((visibility ("default"))) const char *
__asan_default_options (void)
{
  return "fast_unwind_on_malloc=0";
}
