/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: the engine file. Everything is little-endian.
 *
 *     0   8  magic "GSTINT8E"
 *     8   4  version of this layout
 *    12   4  bytes of this header: 64
 *    16   8  bytes of the message (file.proto), which follows the header
 *    24   8  where the constants begin: a multiple of 4096
 *    32   8  bytes of the constants, which reach to the end of the file
 *    40   8  checksum of all between header and constants: the message, and zeros
 *    48   8  checksum of the constants
 *    56   8  checksum of the 56 bytes before it
 *
 * Constants are mapped, not read. Their checksum touches every page once all the same: it runs at
 * more than 10 GB/s on one core, 1 ms for a network of 10 MB, where SHA-256 would take 20. It
 * finds accidents (any single damaged word for certain, anything else but for 2^-64), not attacks:
 * whoever can write the file can write a checksum, so the reader trusts nothing because of it.
 */
#include "engine/file.h"
#include "engine/live.h"
#include "engine/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 64
#define PAGE        4096
/* Some hundred bytes a layer; unpacking is bounded by a multiple of it. */
#define MAX_MESSAGE (8u << 20)

static const char magic[8] = "GSTINT8E";

typedef struct {
  guint32 version, header_size;
  guint64 message_size, constants_offset, constants_size;
  guint64 message_sum, constants_sum;
} Header;

/* --- Checksum ------------------------------------------------------------------------------- */

static inline guint64
load64 (const guint8 *p)
{
  guint64 word;

  memcpy (&word, p, sizeof word);
  return GUINT64_FROM_LE (word);
}

static inline void
store64 (guint8 *p, guint64 word)
{
  word = GUINT64_TO_LE (word);
  memcpy (p, &word, sizeof word);
}

static inline guint32
load32 (const guint8 *p)
{
  guint32 word;

  memcpy (&word, p, sizeof word);
  return GUINT32_FROM_LE (word);
}

static inline void
store32 (guint8 *p, guint32 word)
{
  word = GUINT32_TO_LE (word);
  memcpy (p, &word, sizeof word);
}

/* One step is invertible in the state and in the word, so a single changed word always shows. */
static inline guint64
mix (guint64 state, guint64 word)
{
  return ((state << 27 | state >> 37) ^ word) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
}

static guint64
checksum (const guint8 *data, gsize size)
{
  guint64 lane[4] = {1, 2, 3, 4}, sum = size; /* four chains, so that they overlap in time */
  guint8 rest[32] = {0};
  gsize i = 0;

  for (; size - i >= 32; i += 32)
    for (int k = 0; k < 4; k++)
      lane[k] = mix (lane[k], load64 (data + i + 8 * k));
  memcpy (rest, data + i, size - i);
  for (int k = 0; k < 4; k++)
    sum = mix (sum, mix (lane[k], load64 (rest + 8 * k)));
  return sum ^ sum >> 32;
}

/* --- Header --------------------------------------------------------------------------------- */

static void
write_header (guint8 *out, const Header *header)
{
  memcpy (out, magic, sizeof magic);
  store32 (out + 8, header->version);
  store32 (out + 12, header->header_size);
  store64 (out + 16, header->message_size);
  store64 (out + 24, header->constants_offset);
  store64 (out + 32, header->constants_size);
}

void
engine_file_seal (guint8 *file, gsize size)
{
  const guint64 constants = load64 (file + 24);

  g_return_if_fail (size >= HEADER_SIZE && constants >= HEADER_SIZE && constants <= size);
  store64 (file + 40, checksum (file + HEADER_SIZE, constants - HEADER_SIZE));
  store64 (file + 48, checksum (file + constants, size - constants));
  store64 (file + 56, checksum (file, 56));
}

typedef struct {
  const char *name;
  EngineFileState *state;
  GError **error;
} Reader;

G_GNUC_PRINTF (3, 4)
static gboolean
refuse (const Reader *reader, EngineFileState state, const char *format, ...)
{
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  *reader->state = state;
  g_set_error (reader->error, ENGINE_ERROR, ENGINE_ERROR_FILE, "engine file '%s': %s", reader->name,
      cause);
  return FALSE;
}

#define CORRUPT(...) refuse (reader, ENGINE_FILE_CORRUPT, __VA_ARGS__)

/* Afterwards the sections lie inside the file, one behind the other. */
static gboolean
read_header (const Reader *reader, const guint8 *data, gsize size, Header *header)
{
  if (size < sizeof magic || memcmp (data, magic, sizeof magic) != 0)
    return refuse (reader, ENGINE_FILE_FOREIGN,
        "it is no engine file of gst-int8, and is left alone; give another path");
  if (size < HEADER_SIZE)
    return CORRUPT ("it ends in its header");
  *header = (Header){
      .version = load32 (data + 8),
      .header_size = load32 (data + 12),
      .message_size = load64 (data + 16),
      .constants_offset = load64 (data + 24),
      .constants_size = load64 (data + 32),
      .message_sum = load64 (data + 40),
      .constants_sum = load64 (data + 48),
  };
  if (load64 (data + 56) != checksum (data, 56))
    return CORRUPT ("the checksum of its header is wrong");
  if (header->version != ENGINE_FILE_VERSION)
    return refuse (reader, ENGINE_FILE_OTHER,
        "its layout is version %u, this is version %u; build it anew", header->version,
        ENGINE_FILE_VERSION);
  if (header->header_size != HEADER_SIZE || header->message_size > MAX_MESSAGE ||
      header->constants_offset % PAGE != 0 ||
      header->constants_offset < HEADER_SIZE + header->message_size)
    return CORRUPT ("its header contradicts itself");
  if (header->constants_offset > size || header->constants_size != size - header->constants_offset)
    return CORRUPT ("it has %" G_GSIZE_FORMAT " bytes, its header says %" G_GUINT64_FORMAT, size,
        header->constants_offset + header->constants_size);
  return TRUE;
}

/* --- Reading -------------------------------------------------------------------------------- */

static Engine *
read_contents (const Reader *reader, GBytes *contents)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (contents, &size);
  g_autoptr (GBytes) constants = NULL;
  g_autoptr (Engine) engine = NULL;
  g_autoptr (GError) local = NULL;
  Header header = {0};

  if (!read_header (reader, data, size, &header))
    return NULL;
  if (checksum (data + HEADER_SIZE, header.constants_offset - HEADER_SIZE) != header.message_sum ||
      checksum (data + header.constants_offset, header.constants_size) != header.constants_sum) {
    CORRUPT ("the checksum of its contents is wrong");
    return NULL;
  }
  constants = g_bytes_new_from_bytes (contents, header.constants_offset, header.constants_size);
  engine = engine_file_unpack (data + HEADER_SIZE, header.message_size, constants, &local);
  if (!engine || !engine_graph_verify (engine->graph, "loading", &local) ||
      !engine_graph_is_executable (engine->graph, &local)) {
    CORRUPT ("%s", local->message);
    return NULL;
  }
  *reader->state = ENGINE_FILE_GOOD;
  return g_steal_pointer (&engine);
}

Engine *
engine_file_parse (GBytes *contents, const char *name, EngineFileState *state, GError **error)
{
  const Reader reader = {name, state, error};

  if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
    refuse (&reader, ENGINE_FILE_OTHER,
        "constants are stored for little-endian machines, which this is not; use no engine file");
    return NULL;
  }
  return read_contents (&reader, contents);
}

/* While a file is mapped, no other gets its number; one that is rewritten in place has another time. NULL for
 * what is no file. */
static char *
identity (int fd)
{
  struct stat st;

  if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
    return NULL;
  return g_strdup_printf ("file %llu-%llu-%lld-%lld.%09ld", (unsigned long long) st.st_dev,
      (unsigned long long) st.st_ino, (long long) st.st_size, (long long) st.st_mtim.tv_sec,
      st.st_mtim.tv_nsec);
}

/* Opened once, so that all checks see one file whatever the name means later. name receives what
 * engines of the file are called (live.h). shown: the path, for people. */
static GMappedFile *
map (const char *path, const char *shown, char **name, EngineFileState *state, GError **error)
{
  const int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int saved = errno;
  GMappedFile *mapped = NULL;

  if (fd < 0) {
    *state = saved == ENOENT || saved == ENOTDIR ? ENGINE_FILE_ABSENT : ENGINE_FILE_UNREADABLE;
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved),
        "cannot open engine file '%s': %s", shown, g_strerror (saved));
    return NULL;
  }
  *state = ENGINE_FILE_UNREADABLE;
  *name = identity (fd);
  if (!*name)
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
        "engine file '%s' is a folder, a device or a pipe, not a file", shown);
  else if (!(mapped = g_mapped_file_new_from_fd (fd, FALSE, error)))
    g_prefix_error (error, "engine file '%s': ", shown);
  close (fd);
  return mapped;
}

Engine *
engine_file_read (const char *path, EngineFileState *state, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path), *name = NULL;
  GMappedFile *mapped = map (path, shown, &name, state, error);
  g_autoptr (GBytes) contents = NULL;
  Engine *engine = mapped ? engine_live_find (name) : NULL;

  if (!mapped)
    return NULL;
  contents = g_mapped_file_get_bytes (mapped);
  g_mapped_file_unref (mapped);
  if (engine) {
    *state = ENGINE_FILE_GOOD;
    return engine;
  }
  engine = engine_file_parse (contents, shown, state, error);
  return engine ? engine_live_share (name, engine) : NULL;
}

Engine *
engine_load (const char *path, const char *key, GError **error)
{
  EngineFileState state;
  g_autoptr (Engine) engine = engine_file_read (path, &state, error);

  if (!engine)
    return NULL;
  if (key && !g_str_equal (engine->provenance.key, key)) {
    g_autofree char *shown = g_filename_display_name (path);

    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MISMATCH,
        "engine file '%s' was built from another model, table, preprocessing or version; build it "
        "anew",
        shown);
    return NULL;
  }
  return g_steal_pointer (&engine);
}

/* --- Writing -------------------------------------------------------------------------------- */

/* What lies at the path may be replaced: nothing, or a file of ours. */
static gboolean
may_replace (const char *path, GError **error)
{
  g_autofree char *shown = g_filename_display_name (path);
  char start[sizeof magic];
  const int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t n;

  if (fd < 0 && errno == ENOENT)
    return TRUE;
  if (fd < 0) {
    const int saved = errno;
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (saved),
        "cannot look at what is at '%s': %s", shown, g_strerror (saved));
    return FALSE;
  }
  do
    n = read (fd, start, sizeof start);
  while (n < 0 && errno == EINTR);
  close (fd);
  if (n == sizeof start && memcmp (start, magic, sizeof magic) == 0)
    return TRUE;
  g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_FILE,
      "'%s' is no engine file of gst-int8 and is not overwritten; remove it or give another path",
      shown);
  return FALSE;
}

GBytes *
engine_file_bytes (const Engine *engine, const char *key, GError **error)
{
  Header header = {.version = ENGINE_FILE_VERSION, .header_size = HEADER_SIZE};
  gsize message_size, constants_size, size;
  g_autofree void *message = engine_file_pack (engine, key, &message_size, &constants_size);
  guint8 *file;

  if (message_size > MAX_MESSAGE) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_UNSUPPORTED,
        "the network's description takes %" G_GSIZE_FORMAT " bytes, an engine file holds %u",
        message_size, MAX_MESSAGE);
    return NULL;
  }
  header.message_size = message_size;
  header.constants_offset = (HEADER_SIZE + message_size + PAGE - 1) / PAGE * PAGE;
  header.constants_size = constants_size;
  size = header.constants_offset + constants_size;
  file = g_try_malloc0 (size);
  if (!file) {
    g_set_error (error, ENGINE_ERROR, ENGINE_ERROR_MEMORY,
        "no memory for an engine file of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  memcpy (file + HEADER_SIZE, message, message_size);
  engine_file_copy_constants (engine, file + header.constants_offset);
  write_header (file, &header);
  engine_file_seal (file, size);
  return g_bytes_new_take (file, size);
}

gboolean
engine_file_write (const Engine *engine, const char *key, const char *path, GError **error)
{
  g_autoptr (GBytes) bytes = engine_file_bytes (engine, key, error);
  const void *data;
  gsize size;

  if (!bytes || !may_replace (path, error))
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  return calib_file_replace (path, data, size, error);
}

gboolean
engine_save (const Engine *engine, const char *key, const char *path, GError **error)
{
  g_autoptr (EngineLock) lock = engine_lock_take (path, NULL, error);

  return lock && engine_file_write (engine, key, path, error);
}
