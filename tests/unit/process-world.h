/*
 * For the tests of the process table: one of its own for each test, and records made up.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "daemon/proc/process.h"
#include "profd/base.h"
#include "profd/limits.h"

/* A pid that no process can have: above the kernel's largest pid_max. */
#define PID 5000000

static struct keeper *keeper;
static struct module_table *modules;
static struct process_table *table;

static inline int setup(void **state)
{
	int rc = keeper_new_local(&keeper);

	if (rc == 0)
		rc = module_table_new(&modules);
	if (rc == 0)
		rc = process_table_new(keeper, modules, &table);
	return rc;
}

static inline int teardown(void **state)
{
	process_table_free(table);
	module_table_free(modules);
	keeper_free(keeper);
	return 0;
}

static inline void map(pid_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct process_mmap m = {
		.pid = pid,
		.start = start,
		.bytes = end - start,
		.file_offset = 0x10000,
		.path = path,
		.key = {.dev = 1, .inode = path[0] ? (ino_t)path[1] : 0},
		.executable = true,
	};

	process_on_mmap(table, &m);
}
