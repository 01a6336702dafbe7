/*
 * What a request is answered with, before anything of HTTP's library is known.
 * Statuses, bodies and headers are those of Go's net/http and net/http/pprof.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct reply {
	unsigned status;
	const char *type;     /* Content-Type */
	const char *filename; /* of an attachment; NULL: none */
	const char *location; /* of a redirection; stays the request's */
	bool go_pprof;	      /* X-Go-Pprof: 1 */
	bool sniff;	      /* without X-Content-Type-Options: nosniff */
	bool ask_password;    /* WWW-Authenticate */
	char *text;	      /* malloc'd body, or */
	size_t n_text;
	int fd; /* the body's file; -1: none */
};

#define REPLY_INIT                                                                                 \
	{                                                                                          \
		.fd = -1                                                                           \
	}
#define REPLY_TEXT "text/plain; charset=utf-8"

void reply_done(struct reply *reply);

/* An error as Go's pprof gives it; the message ends in a newline of our own. */
__attribute__((format(printf, 3, 4))) void reply_error(struct reply *ret, unsigned status,
						       const char *format, ...);
/* An error as Go's net/http gives it. */
void reply_plain_error(struct reply *ret, unsigned status, const char *text);
void reply_redirect(struct reply *ret, const char *location);
/* A profile; @fd is taken over. */
void reply_profile(struct reply *ret, int fd, const char *filename);
/* A text that was written to @stream (open_memstream), which this closes; NULL, or
 * one that failed, is an error 500. @text and @n are the stream's. */
void reply_stream(struct reply *ret, const char *type, FILE *stream, char **text, size_t *n);

/* Writes @text so that it is text in HTML, whatever bytes it has. */
void html_put(FILE *to, const char *text);
/* Writes @text so that it is one segment of a URL. */
void url_put(FILE *to, const char *text);
