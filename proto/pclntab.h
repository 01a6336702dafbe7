/*
 * The table of functions (.gopclntab) that every Go program carries, stripped or not: its
 * own runtime walks stacks and prints traces by it. Formats of Go 1.16 and later.
 *
 * It is a file of somebody else's, and may change while it is read: every offset is checked
 * against the table, each read is one of some bytes, what is found of a function contradicts
 * itself in nothing, and a program is followed only as far as the caller says. Nothing is
 * allocated or kept.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pclntab_source {
	/* Exactly @bytes at @offset, which are within the table. Returns 0 or -errno. */
	int (*read)(const void *from, uint64_t offset, void *ret, size_t bytes);
	const void *from;
	uint64_t bytes; /* of the table */
};

struct pclntab {
	struct pclntab_source source;
	uint32_t magic;
	uint8_t quantum; /* bytes of the shortest instruction: 1 on x86-64 */
	uint64_t n_functions, text_start;
	uint64_t names, packages, files, programs, functions; /* offsets of its parts */
};

enum {			      /* a function's flags */
       PCLNTAB_TOP_FRAME = 1, /* a stack ends with it */
       PCLNTAB_SETS_SP = 2,   /* it sets the stack pointer itself */
};

struct pclntab_function {
	uint64_t entry, end;
	uint32_t name;					    /* offset among the names */
	uint32_t stack_program, file_program, line_program; /* offsets among the programs */
	uint32_t package;				    /* number among the packages' files */
	uint32_t start_line;				    /* 0: not told, before Go 1.20 */
	uint8_t flags;
};

/* A part of a function for which a program has one value. */
struct pclntab_stretch {
	uint64_t start, end;
	int32_t value;
};

/* Returns 0; -ENOTSUP: of another version, or completed only when the program is loaded;
 * -EBADMSG: malformed; or an error of reading. */
int pclntab_open(const struct pclntab_source *source, struct pclntab *ret_table);

/* -EBADMSG: not within the table. */
int pclntab_read(const struct pclntab *t, uint64_t offset, void *ret, size_t bytes);

/* The function that holds @vaddr: entry <= vaddr < end. Returns 0; -ENOENT: none; -EBADMSG;
 * or an error of reading. */
int pclntab_find(const struct pclntab *t, uint64_t vaddr, struct pclntab_function *ret_function);

/* The value of @program, one of @f's, at @vaddr, and where it begins and ends: start <=
 * vaddr < end. At most @max_bytes of the program are looked at. Returns 0; -EBADMSG:
 * malformed, or it goes on beyond that; or an error of reading. */
int pclntab_follow(const struct pclntab *t, const struct pclntab_function *f, uint32_t program,
		   uint64_t vaddr, size_t max_bytes, struct pclntab_stretch *ret_stretch);
