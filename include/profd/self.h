/*
 * What a program of the project tells of itself, where it is asked how it is.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* Memory of this process that is in RAM; 0 where the kernel does not say. */
static inline uint64_t self_resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f) {
		if (fscanf(f, "%*u %llu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
