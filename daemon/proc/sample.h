/*
 * The one shape that CPU samples and heap samples share once their frames are
 * known. Everything before this is about getting here; everything after works
 * on any kind.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SAMPLE_VALUES_MAX 4

/* `offset` is in the file's terms (file offset of the instruction) for
 * MODULE_FILE and MODULE_VDSO, a run-time address for the others. For all but
 * an interrupted instruction it is a return address minus one, so that it lies
 * in the call. */
struct frame {
	uint32_t module; /* struct module's id; 0: none */
	uint64_t offset;
};

struct sample_labels { /* NULL or 0: absent */
	pid_t pid;
	pid_t tid;
	const char *comm;
	const char *thread;
	const char *unit;
	const char *state, *wchan; /* of a thread: what it does, and where in the kernel */
	/* The program's own, of include/profd.h: key, separator, value, separator, and so on,
	 * as proto/heap_table.h hands them out: clean and bounded. */
	const char *own;
	uint64_t bytes; /* object size (numeric label, unit "bytes") */

	/* Who may see it; neither is shown in profiles. */
	uint32_t life; /* struct process's: one program's run, whatever its pid */
	uid_t owner;   /* whose data it is; root's also if that is not known */
};

struct sample {
	const struct frame *frames; /* leaf first */
	size_t n_frames;
	struct sample_labels labels;
	int64_t values[SAMPLE_VALUES_MAX];
};
