/*
 * What all that profd-fetch asks for has in common: http and https only, also where it is
 * sent on to, and a few redirections, no signals, an end to waiting for a connection.
 */
#pragma once

#include <curl/curl.h>
#include <stddef.h>

typedef size_t (*request_write)(char *bytes, size_t size, size_t n, void *userdata);

/* Sets @curl up anew. @take is called with what comes; if it returns less than it was
 * given, the transfer ends with CURLE_WRITE_ERROR. Returns 0 or -EINVAL. */
int request_prepare(CURL *curl, const char *url, request_write take, void *userdata);

/* Gives it up when less than @bytes_per_s come for @seconds. */
void request_set_patience(CURL *curl, long bytes_per_s, long seconds);

/* Writes all. Returns 0 or -errno. */
int request_store(int fd, const char *bytes, size_t n);
