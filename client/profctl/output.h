/*
 * What profctl prints. Results go to standard output; errors, notes and
 * progress to standard error.
 *
 * Names come from other people's processes, so nothing is printed as it came:
 * control characters become '?', or a process could move the cursor, recolour
 * the terminal or forge a line.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One line on standard error: "profctl: " and the message. */
__attribute__((format(printf, 1, 2))) void output_error(const char *format, ...);
/* The same, where the reader of the code should know that nothing is wrong. */
#define output_note output_error
/* One line on standard output. */
__attribute__((format(printf, 1, 2))) void output_line(const char *format, ...);

/* A line that the next progress replaces, on a terminal only. An empty one makes
 * room for other output. */
__attribute__((format(printf, 1, 2))) void output_progress(const char *format, ...);
bool output_has_progress(void);

/* Prints @value (taken over, may be NULL: out of memory) as one line, or over
 * several if @pretty. Returns 0 or -ENOMEM. */
int output_json(json_t *value, bool pretty);
/* A JSON string of bytes that may not be UTF-8. */
json_t *output_json_string(const char *text);

/* Whether something of standard output was lost: its reader left. */
bool output_broken(void);

/* Flushes standard output. Returns 0, or -errno if something of it was lost.
 * A reader that left (-EPIPE) is not reported, anything else is. */
int output_finish(void);
