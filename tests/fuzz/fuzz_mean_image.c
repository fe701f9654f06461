/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_mean_image.c: mean images from bytes that nobody vouches for. What is read is sound, and read again
 * as the same from the picture that it is kept as.
 */
#include "engine/mean-image.h"
#include "tests/fuzz/fuzz-file.h"

static const char *const seeds[] = {
    "P6\n# by hand\n2 3\n255\nabcdefghijklmnopqr",
    "P5 4 2 255\n\x01\x02\x03\x04\xff\xfe\xfd\xfc and more",
};

FUZZ_TEXT_SEEDS (seeds)

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  const EngineMeanImage *image = engine_mean_image_read (fuzz_path (data, size), &error);

  FUZZ_REQUIRE (!image == !!error);
  if (!image) {
    FUZZ_REQUIRE (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT));
    FUZZ_REQUIRE (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  const gsize n = (gsize) image->width * image->height * image->channels;
  g_autoptr (GByteArray) written = g_byte_array_new ();
  g_autofree char *header = g_strdup_printf ("P%d\n%d %d\n255\n", image->channels == 3 ? 6 : 5,
      image->width, image->height);

  FUZZ_REQUIRE (n > 0 && n < size);
  for (gsize i = 0; i < n; i++)
    FUZZ_REQUIRE (image->pixels[i] >= image->lo[i % image->channels] &&
                  image->pixels[i] <= image->hi[i % image->channels]);
  g_byte_array_append (written, (const guint8 *) header, strlen (header));
  g_byte_array_append (written, image->pixels, n);
  FUZZ_REQUIRE (engine_mean_image_read (fuzz_path (written->data, written->len), NULL) == image);
  return 0;
}
