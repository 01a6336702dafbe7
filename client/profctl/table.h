/*
 * A table of text whose columns are as wide as what stands in them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TABLE_MAX_COLUMNS 8

struct table_column {
	const char *title;
	bool right; /* numbers stand to the right */
};

struct table {
	const struct table_column *columns;
	size_t n_columns;
	char **cells; /* row after row */
	size_t n_cells;
	bool failed; /* out of memory: a cell is missing */
};

/* @columns stays the caller's and outlives the table. */
void table_init(struct table *table, const struct table_column *columns, size_t n_columns);
void table_done(struct table *table);

/* Adds the next cell, left to right and then down. Copied. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *table, const char *format, ...);

/* Prints to standard output, with a row of titles if columns have any. Returns
 * 0 or -ENOMEM, having printed nothing. */
int table_print(const struct table *table);
