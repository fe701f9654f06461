/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-cpus.c: how many CPUs this process may use: those of its affinity, or fewer where a control
 * group limits its time. In a container with 2 CPUs of 64, 64 threads would spend most of their
 * time being throttled.
 */
#include "kernels/cpu/pool.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* The group of this process in the version 2 hierarchy, as "/a/b" or "". */
static bool
read_group (const char *file, char *group)
{
  FILE *in = fopen (file, "re");
  bool found = false;

  if (!in)
    return false;
  while (!found && fgets (group, PATH_SIZE, in)) {
    group[strcspn (group, "\n")] = '\0';
    found = strncmp (group, "0::/", 4) == 0;
  }
  fclose (in);
  if (found)
    memmove (group, group + (strcmp (group, "0::/") == 0 ? 4 : 3), strlen (group));
  return found;
}

/* The limit of one group in CPUs, rounded up; 0 for none. The file holds "quota period" or "max
 * period"; the root of the hierarchy has none. */
static int
read_limit (const char *mount, const char *group)
{
  char path[2 * PATH_SIZE];
  long long quota, period;
  int limit = 0;
  FILE *in;

  snprintf (path, sizeof path, "%s%s/cpu.max", mount, group);
  in = fopen (path, "re");
  if (!in)
    return 0;
  if (fscanf (in, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0 &&
      quota / period < KERNEL_POOL_MAX_THREADS)
    limit = (int) ((quota + period - 1) / period);
  fclose (in);
  return limit;
}

int
kernel_pool_quota (const char *cgroup_file, const char *mount)
{
  char group[PATH_SIZE];
  int least = 0;

  if (!read_group (cgroup_file, group))
    return 0;
  for (;;) {
    const int limit = read_limit (mount, group);
    char *parent = strrchr (group, '/');

    if (limit > 0 && (least == 0 || limit < least))
      least = limit;
    if (!parent)
      return least;
    *parent = '\0';
  }
}

static int
allowed_cpus (void)
{
  cpu_set_t set;

  if (sched_getaffinity (0, sizeof set, &set) == 0)
    return CPU_COUNT (&set);
  /* More CPUs than the set has bits. */
  const long online = sysconf (_SC_NPROCESSORS_ONLN);

  return online < 1 ? 1 : online > KERNEL_POOL_MAX_THREADS ? KERNEL_POOL_MAX_THREADS : (int) online;
}

int
kernel_pool_cpus (void)
{
  const int allowed = allowed_cpus ();
  const int quota = kernel_pool_quota ("/proc/self/cgroup", "/sys/fs/cgroup");

  return quota > 0 && quota < allowed ? quota : allowed;
}
