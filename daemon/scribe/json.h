/*
 * JSON as text, piece by piece onto a gzip stream. Names come from programs and files: what
 * they hold is escaped, and what is no UTF-8 becomes U+FFFD.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/gzip.h"

void json_put(struct gzip_writer *w, const char *text); /* as it is */
void json_putf(struct gzip_writer *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));		    /* likewise, of at most 255 bytes */
void json_put_string(struct gzip_writer *w, const char *s); /* with its quotes */
