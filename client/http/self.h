/*
 * What this process takes, in Prometheus' text format, under the names that
 * Prometheus' own libraries give it.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

/* What cannot be had of /proc is left out. */
void self_put_metrics(FILE *to, int64_t start_unix_ns);
