/*
 * Profiles as Go and gperftools write them for people: `debug=1` and `debug=2`.
 */
#pragma once

#include <stdio.h>

#include "proto/pprof.h"

/* A heap profile, as "heap_v2": numbers of sampled objects, which a reader scales by
 * the rate, one stack a line with the functions below it, mappings at the end. */
void text_put_heap(FILE *to, const struct pprof *p);

/* Any other profile: the sums of its values for each stack. */
void text_put_counts(FILE *to, const struct pprof *p, const char *name);

/* One block a thread, as Go writes them for goroutine?debug=2; @word is what a thread
 * is called. (text_threads.c) */
void text_put_threads(FILE *to, const struct pprof *p, const char *word);

/* What is common to them: a text without control characters, and a profile's comments. */
void text_put_name(FILE *to, const char *name);
void text_put_comments(FILE *to, const struct pprof *p);
