/*
 * From a code address to the module that holds it: its number in the table, its
 * load bias, and its call-frame information. Lock-free and without allocation;
 * a module is entered into the table when it is first met.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/cfi.h"

#define MODULES_CACHE_BYTES 32768 /* of session.module_cache */

/* A module as one walk remembers it. While code of it is on the walked stack
 * it stays loaded. */
struct module {
	uint64_t start, end; /* addresses it holds */
	uint64_t bias;
	uint64_t tag;	/* differs between modules, also of those loaded at one place in turn */
	uint32_t index; /* in the table, or HEAP_NO_MODULE: the table is full */
};

/* False: @pc is in no module. */
bool modules_find(uint64_t pc, struct module *ret_module);

/* The call-frame information of the module that holds @pc, where it is mapped.
 * Returns 0 or -errno. */
int modules_cfi(uint64_t pc, struct cfi_module *ret_cfi);
