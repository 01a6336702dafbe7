/*
 * What is known about one code address: the function it lies in and, before it,
 * the functions inlined there, innermost first.
 */
#pragma once

#include <stdint.h>

#include "proto/pprof.h"

#define SYMBOL_MAX_LINES 64 /* inlines in one place; the outermost beyond are left out */

struct symbol {
	struct pprof_line lines[SYMBOL_MAX_LINES];
	char *names[SYMBOL_MAX_LINES]; /* what of it is owned: readable names */
	size_t n;
};

/* Adds a caller. @raw is the name as the linker knows it, or as the source has
 * it; the readable name is derived. @raw and @file must outlive @symbol.
 * Returns 0 or -ENOSPC. */
int symbol_push(struct symbol *symbol, const char *raw, const char *file, int64_t line,
		int64_t start_line);
/* The same of a name that means nothing to a linker: it is shown as it is. */
int symbol_push_plain(struct symbol *symbol, const char *name);
void symbol_done(struct symbol *symbol);
