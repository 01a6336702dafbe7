/*
 * The labels that the program gives its threads: include/profd.h is for the program,
 * profd/heap_table.h says how profd sees them. A set is known by a number that holds
 * for as long as the table; 0 is the set without labels.
 */
#pragma once

#include <stdint.h>

struct labels_thread {
	uint32_t set;
	uint32_t slot; /* of its history, plus one; 0: none yet */
};

extern __thread struct labels_thread labels_thread
	__attribute__((visibility("hidden"), tls_model("initial-exec")));

/* The calling thread's set. For the sampled path: one load. */
static inline uint32_t labels_current(void)
{
	return labels_thread.set;
}

/* In a fork's child, once it has a table: its one thread keeps its labels. */
void labels_after_fork(void);
