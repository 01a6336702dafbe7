/*
 * Profiles as Go and gperftools write them for people: `debug=1`.
 */
#pragma once

#include <stdio.h>

#include "proto/pprof.h"

/* A heap profile, as "heap_v2": numbers of sampled objects, which a reader scales by
 * the rate, one stack a line with the functions below it, mappings at the end. */
void text_put_heap(FILE *to, const struct pprof *p);

/* Any other profile: the sums of its values and each stack. */
void text_put_counts(FILE *to, const struct pprof *p, const char *name);
