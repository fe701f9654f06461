/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h: quickstart's report.html, one self-contained page. */
#pragma once

#include "tools/idx.h"

/* What one run of a network over the test images gave. */
typedef struct {
  const char *model;     /* "LeNet" */
  const char *precision; /* "FP32" */
  int n, correct;
  double agreement; /* share of images with the FP32 run's label, 0 .. 1; 1 for FP32 itself */
  double fps;
  int *label;        /* [n] predicted class */
  float *confidence; /* [n] */
} ReportRun;

/* Table of runs, then a contact sheet from the last run: the first images, and images it got wrong.
 */
gboolean report_write (const char *path, const ReportRun *runs, int n_runs, const Idx *images,
    const Idx *truth, char **class_names, GError **error);
