/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mqtt-target.c: the settings of mqtt.h, checked before anything is connected. */
#include <mosquitto.h>
#include <string.h>
#include <unistd.h>

#include "gst/mqtt-client.h"

#define fail(error, ...)                                                                           \
  (g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, __VA_ARGS__), FALSE)

#define MAX_TOPIC 65535 /* of the protocol */

/* HOST, HOST:PORT, and either behind mqtt:// or mqtts://. */
static gboolean
set_address (GstInt8MqttTarget *target, const char *address, GError **error)
{
  const gboolean has_scheme = strstr (address, "://") != NULL;
  g_autofree char *text = g_strconcat (has_scheme ? "" : "mqtt://", address, NULL);
  g_autoptr (GError) reason = NULL;
  g_autoptr (GUri) uri = g_uri_parse (text, G_URI_FLAGS_NONE, &reason);
  const char *scheme = uri ? g_uri_get_scheme (uri) : "";

  if (!uri || !g_uri_get_host (uri) || !*g_uri_get_host (uri) ||
      strpbrk (g_uri_get_host (uri), " \t\r\n"))
    return fail (error, "mqtt-address=%s is no address such as broker.example:1883: %s", address,
        reason ? reason->message : "it has no host, or one with blanks");
  if (g_uri_get_userinfo (uri))
    return fail (error, "mqtt-address has a user in it: that belongs into mqtt-username, and the "
                        "password into mqtt-password");
  if (strcmp (scheme, "mqtt") != 0 && strcmp (scheme, "mqtts") != 0)
    return fail (error, "mqtt-address=%s: %s:// is not known; mqtt:// and mqtts:// (TLS) are",
        address, scheme);
  if (*g_uri_get_path (uri) || g_uri_get_query (uri) || g_uri_get_fragment (uri))
    return fail (error,
        "mqtt-address=%s has something behind host and port: the topic is mqtt-topic", address);
  if (g_uri_get_port (uri) == 0)
    return fail (error, "mqtt-address=%s: no broker can be at port 0", address);
  target->tls = strcmp (scheme, "mqtts") == 0;
  target->host = g_strdup (g_uri_get_host (uri));
  target->port = (guint) (g_uri_get_port (uri) > 0 ? g_uri_get_port (uri)
                          : target->tls            ? 8883
                                                   : 1883);
  target->uri = g_strdup_printf (strchr (target->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme,
      target->host, target->port);
  return TRUE;
}

static gboolean
set_topic (GstInt8MqttTarget *target, const char *topic, GError **error)
{
  if (!topic || !*topic)
    return fail (error, "mqtt-topic is empty");
  if (strlen (topic) > MAX_TOPIC || !g_utf8_validate (topic, -1, NULL) ||
      mosquitto_pub_topic_check (topic) != MOSQ_ERR_SUCCESS)
    return fail (error,
        "mqtt-topic=%s cannot be published to: it must be UTF-8, without the "
        "wildcards + and #, and shorter than 64 KiB",
        topic);
  target->topic = g_strdup (topic);
  return TRUE;
}

/* A password on a command line is read by everybody who may list processes. */
static gboolean
set_password (GstInt8MqttTarget *target, const char *password, GError **error)
{
  g_autoptr (GError) reason = NULL;
  const char *value;

  if (!password || !*password)
    return TRUE;
  if (!target->username)
    return fail (error,
        "mqtt-password is set without mqtt-username: MQTT has none without the other");
  if (g_str_has_prefix (password, "env:")) {
    value = g_getenv (password + 4);
    if (!value)
      return fail (error, "mqtt-password=%s: the environment has no such variable", password);
    target->password = g_strdup (value);
    return TRUE;
  }
  if (!g_str_has_prefix (password, "file:"))
    return fail (error,
        "mqtt-password is env:NAME or file:PATH, not the password itself, which every "
        "user of the machine could read");
  if (!g_file_get_contents (password + 5, &target->password, NULL, &reason))
    return fail (error, "mqtt-password: %s", reason->message);
  target->password[strcspn (target->password, "\r\n")] = '\0';
  return TRUE;
}

static gboolean
set_file (char **target, const char *property, const char *path, GError **error)
{
  if (!path || !*path)
    return TRUE;
  if (access (path, R_OK) != 0)
    return fail (error, "%s=%s cannot be read: %s", property, path, g_strerror (errno));
  *target = g_strdup (path);
  return TRUE;
}

static gboolean
set_files (GstInt8MqttTarget *target, const GstInt8MqttSettings *settings, GError **error)
{
  if (!set_file (&target->ca_file, "mqtt-ca-file", settings->ca_file, error) ||
      !set_file (&target->certificate_file, "mqtt-certificate-file", settings->certificate_file,
          error) ||
      !set_file (&target->key_file, "mqtt-key-file", settings->key_file, error))
    return FALSE;
  if (!target->certificate_file != !target->key_file)
    return fail (error, "mqtt-certificate-file and mqtt-key-file belong together: only one is set");
  if (target->certificate_file && !target->ca_file)
    return fail (error, "mqtt-certificate-file needs mqtt-ca-file, too");
  if (!target->tls && target->ca_file)
    return fail (error, "mqtt-ca-file is set, but %s is not encrypted: mqtt-address=mqtts://...",
        target->uri);
  return TRUE;
}

static char *
random_id (void)
{
  return g_strdup_printf ("gstint8%08x%08x", g_random_int (), g_random_int ()); /* 23 characters */
}

gboolean
gst_int8_mqtt_target_init (GstInt8MqttTarget *target, const GstInt8MqttSettings *settings,
    GError **error)
{
  const char *id = settings->client_id, *user = settings->username;

  *target = (GstInt8MqttTarget){.qos = settings->qos,
      .keepalive = settings->keepalive,
      .has_session = id && *id,
      .client_id = id && *id ? g_strdup (id) : random_id (),
      .username = user && *user ? g_strdup (user) : NULL};
  if (set_address (target, settings->address, error) &&
      set_topic (target, settings->topic, error) &&
      set_password (target, settings->password, error) && set_files (target, settings, error))
    return TRUE;
  gst_int8_mqtt_target_clear (target);
  return FALSE;
}

void
gst_int8_mqtt_target_clear (GstInt8MqttTarget *target)
{
  g_free (target->uri);
  g_free (target->host);
  g_free (target->topic);
  g_free (target->client_id);
  g_free (target->username);
  g_free (target->password);
  g_free (target->ca_file);
  g_free (target->certificate_file);
  g_free (target->key_file);
  *target = (GstInt8MqttTarget){0};
}
