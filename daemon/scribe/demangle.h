/*
 * C++ and Rust names made readable, within bounds: a mangled name of a hundred
 * bytes can stand for gigabytes.
 */
#pragma once

#define DEMANGLE_MAX_INPUT  (32 * 1024) /* bytes of a mangled name; a longer one stays as it is */
#define DEMANGLE_MAX_OUTPUT (16 * 1024) /* what lies beyond is cut */

/* The readable form, malloc'd; NULL: @mangled is no mangled name (or: out of
 * memory), show it as it is. */
char *demangle_name(const char *mangled);
