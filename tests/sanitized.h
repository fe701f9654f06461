/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sanitized.h: SANITIZED_ADDRESS and SANITIZED_THREAD, 1 where the program is built with that sanitizer. GCC
 * defines a macro, clang (before 21) answers a question.
 */
#pragma once

#ifdef __has_feature
#define SANITIZED_BY(feature) __has_feature (feature)
#else
#define SANITIZED_BY(feature) 0
#endif

#if defined __SANITIZE_ADDRESS__ || SANITIZED_BY (address_sanitizer)
#define SANITIZED_ADDRESS 1
#else
#define SANITIZED_ADDRESS 0
#endif

#if defined __SANITIZE_THREAD__ || SANITIZED_BY (thread_sanitizer)
#define SANITIZED_THREAD 1
#else
#define SANITIZED_THREAD 0
#endif
