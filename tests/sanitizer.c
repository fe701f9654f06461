/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sanitizer.c: whole stacks for AddressSanitizer, linked into tests whose libraries leak. GLib is built
 * without frame pointers: with the fast unwinder what they leak would not be recognised by
 * tests/lsan.supp.
 */
extern const char *__asan_default_options (void);

__attribute__ ((visibility ("default"))) const char *
__asan_default_options (void)
{
  return "fast_unwind_on_malloc=0";
}
