/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calib-rtsp.c: a camera on the loopback address that goes away twice: first it closes the connection,
 * then the whole server is gone for a while. pipelines/apps/calibrate-rtsp must end with all its frames
 * and a table.
 *
 *   gst-calib-rtsp CALIBRATE-RTSP      "1 passed, 0 failed" is the last line
 */
#include "calib/calib.h"
#include "tests/check.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gst/rtsp-server/rtsp-server.h>
#include <stdlib.h>

#define FRAMES 80 /* at 25 a second, of which two connections of 0.8 s see a part */

typedef struct {
  GMainLoop *loop;
  GstRTSPServer *server;
  guint attached; /* its GSource */
  char *service;  /* the port, the same for both servers */
  guint connections;
  int status; /* of the application; -1: it was taking too long */
} Camera;

static gboolean cut (gpointer data);

static void
client_connected (GstRTSPServer *server, GstRTSPClient *client, gpointer data)
{
  Camera *camera = data;

  if (++camera->connections <= 2)
    g_timeout_add (800, cut, camera);
}

static gboolean
switch_on (gpointer data)
{
  Camera *camera = data;
  GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new ();
  GstRTSPMountPoints *mounts;
  g_autofree char *port = NULL;

  camera->server = gst_rtsp_server_new ();
  gst_rtsp_server_set_address (camera->server, "127.0.0.1");
  gst_rtsp_server_set_service (camera->server, camera->service);
  gst_rtsp_media_factory_set_launch (factory,
      "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! "
      "jpegenc ! rtpjpegpay name=pay0 )");
  gst_rtsp_media_factory_set_shared (factory, TRUE);
  mounts = gst_rtsp_server_get_mount_points (camera->server);
  gst_rtsp_mount_points_add_factory (mounts, "/camera", factory);
  g_object_unref (mounts);
  g_signal_connect (camera->server, "client-connected", G_CALLBACK (client_connected), camera);
  camera->attached = gst_rtsp_server_attach (camera->server, NULL);
  if (camera->attached) {
    port = g_strdup_printf ("%d", gst_rtsp_server_get_bound_port (camera->server));
    g_free (camera->service);
    camera->service = g_steal_pointer (&port);
  }
  return G_SOURCE_REMOVE;
}

static GstRTSPFilterResult
close_client (GstRTSPServer *server, GstRTSPClient *client, gpointer data)
{
  return GST_RTSP_FILTER_REMOVE;
}

static void
switch_off (Camera *camera)
{
  if (!camera->server)
    return;
  gst_rtsp_server_client_filter (camera->server, close_client, NULL);
  if (camera->attached)
    g_source_remove (camera->attached);
  g_clear_object (&camera->server);
  camera->attached = 0;
}

static gboolean
cut (gpointer data)
{
  Camera *camera = data;

  if (camera->connections <= 1) {
    gst_rtsp_server_client_filter (camera->server, close_client, NULL);
  } else if (camera->server) {
    switch_off (camera);
    g_timeout_add (1500, switch_on, camera);
  }
  return G_SOURCE_REMOVE;
}

static void
application_ended (GPid pid, int status, gpointer data)
{
  Camera *camera = data;

  camera->status = status;
  g_main_loop_quit (camera->loop);
}

static gboolean
too_long (gpointer data)
{
  g_main_loop_quit (((Camera *) data)->loop);
  return G_SOURCE_REMOVE;
}

static const char *application;

/* The scanner of plugins is a program without our sanitizers: plugins are read in the process. What they
 * leak there is not ours. */
static char **
application_environment (const char *folder)
{
  g_autofree char *registry = g_build_filename (folder, "registry.bin", NULL);
  const char *options = g_getenv ("ASAN_OPTIONS");
  g_autofree char *no_leaks = g_strdup_printf ("%s:detect_leaks=0", options ? options : "");
  char **environment = g_get_environ ();

  environment = g_environ_setenv (environment, "ASAN_OPTIONS", no_leaks, TRUE);
  environment = g_environ_setenv (environment, "GST_REGISTRY", registry, TRUE);
  return g_environ_setenv (environment, "GST_REGISTRY_FORK", "no", TRUE);
}

static void
run_application (Camera *camera, const char *folder, const char *table, const char *statistics)
{
  g_autofree char *url = g_strdup_printf ("rtsp://127.0.0.1:%s/camera", camera->service);
  g_autofree char *model =
      g_build_filename (g_getenv ("INT8_SOURCE_DIR"), "data", "fashion-lenet.onnx", NULL);
  g_autofree char *frames = g_strdup_printf ("%d", FRAMES);
  char *argv[] = {(char *) application, url, model, (char *) table, (char *) statistics, frames,
      NULL};
  g_auto (GStrv) environment = application_environment (folder);
  g_autoptr (GError) error = NULL;
  guint timer;
  GPid pid;

  if (!g_spawn_async (NULL, argv, environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
          &error)) {
    CHECK_FAIL ("%s", error->message);
    return;
  }
  camera->status = -1;
  g_child_watch_add (pid, application_ended, camera);
  timer = g_timeout_add_seconds (120, too_long, camera);
  g_main_loop_run (camera->loop);
  if (camera->status != -1)
    g_source_remove (timer);
  else
    kill (pid, SIGKILL);
  g_spawn_close_pid (pid);
}

static void
test_camera_that_goes_away (void)
{
  g_autofree char *folder = g_dir_make_tmp ("int8-rtsp-XXXXXX", NULL);
  g_autofree char *table_path = g_build_filename (folder, "camera.table", NULL);
  g_autofree char *statistics_path = g_build_filename (folder, "camera.int8stats", NULL);
  g_autofree char *remove = g_strdup_printf ("rm -r '%s'", folder);
  Camera camera = {.loop = g_main_loop_new (NULL, FALSE), .service = g_strdup ("0")};

  switch_on (&camera);
  CHECK (camera.attached != 0);
  run_application (&camera, folder, table_path, statistics_path);
  CHECK_INT (camera.status, ==, 0);
  CHECK_INT (camera.connections, >=, 3);

  g_autoptr (CalibTable) table = calib_table_load (table_path, NULL);
  g_autoptr (CalibStatistics) statistics = calib_statistics_load (statistics_path, NULL);
  CHECK (table && calib_table_n_entries (table) > 0);
  CHECK (statistics != NULL);
  if (statistics)
    CHECK_INT (calib_statistics_provenance (statistics)->frames, ==, FRAMES);
  switch_off (&camera);
  g_main_loop_unref (camera.loop);
  g_free (camera.service);
  CHECK_INT (system (remove), ==, 0);
}

int
main (int argc, char **argv)
{
  const char *source = g_getenv ("INT8_SOURCE_DIR");

  setvbuf (stdout, NULL, _IOLBF, 0);
  gst_init (&argc, &argv);
  if (argc != 2 || !source) {
    printf ("SKIP run it with \"meson test\", or with INT8_SOURCE_DIR set as %s CALIBRATE-RTSP\n",
        argv[0]);
    return 77;
  }
  application = argv[1];
  RUN (test_camera_that_goes_away);
  return check_done ();
}
