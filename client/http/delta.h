/*
 * What profile.c and delta.c share.
 */
#pragma once

#include "client/http/profile.h"

/* Asks for the files of all targets at this moment. */
void profile_ask(const struct profile_want *want, struct answer *ret_answer);
/* The answer means that there is nothing, which is no error. */
bool profile_is_empty(const struct profile_want *want, const struct answer *a);
/* The answer's error as a reply; returns it, negative. */
int profile_fail(const struct answer *a, const char *before, struct reply *ret_error);
/* Whose samples they are, where there are several processes. */
void profile_labels(const struct ask_file *file, struct pprof_label ret[2]);
/* An unnamed file of @p, or -errno and an error. */
int profile_write(const struct pprof *p, struct reply *ret_error);
