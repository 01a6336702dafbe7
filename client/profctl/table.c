#include "client/profctl/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/profctl/output.h"
#include "profd/base.h"

#define COLUMN_GAP 2

void table_init(struct table *table, const struct table_column *columns, size_t n_columns)
{
	assert(n_columns > 0 && n_columns <= TABLE_MAX_COLUMNS);
	*table = (struct table){.columns = columns, .n_columns = n_columns};
}

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){};
}

static int append(struct table *table, char *cell)
{
	char **cells;

	cells = reallocarray(table->cells, table->n_cells + 1, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->cells[table->n_cells++] = cell;
	return 0;
}

void table_add(struct table *table, const char *format, ...)
{
	char *cell = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&cell, format, args);
	va_end(args);
	if (n < 0) {
		table->failed = true;
	} else if (append(table, cell) < 0) {
		free(cell);
		table->failed = true;
	}
}

/* Columns on the terminal, taking a UTF-8 character for one. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			n++;
	return n;
}

static void measure(const struct table *table, size_t *ret_widths)
{
	for (size_t i = 0; i < table->n_columns; i++)
		ret_widths[i] = width_of(table->columns[i].title);
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;

		ret_widths[column] = max(ret_widths[column], width_of(table->cells[i]));
	}
}

static int print_row(const struct table *table, const size_t *widths, const char *const *cells)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0, blank = 0;
	FILE *stream;

	stream = open_memstream(&line, &size);
	if (!stream)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_columns; i++) {
		size_t pad = widths[i] - width_of(cells[i]);

		/* Blanks are owed until something follows: no line ends in them. */
		blank += (i > 0 ? COLUMN_GAP : 0) + (table->columns[i].right ? pad : 0);
		if (cells[i][0] != '\0') {
			fprintf(stream, "%*s%s", (int)blank, "", cells[i]);
			blank = 0;
		}
		blank += table->columns[i].right ? 0 : pad;
	}
	if (fclose(stream) != 0)
		return -ENOMEM;
	output_line("%s", line);
	return 0;
}

int table_print(const struct table *table)
{
	const char *titles[TABLE_MAX_COLUMNS];
	size_t widths[TABLE_MAX_COLUMNS];
	bool any_title = false;
	int r = 0;

	if (table->failed)
		return -ENOMEM;
	assert(table->n_cells % table->n_columns == 0);
	measure(table, widths);
	for (size_t i = 0; i < table->n_columns; i++) {
		titles[i] = table->columns[i].title;
		any_title = any_title || titles[i][0] != '\0';
	}
	if (any_title)
		r = print_row(table, widths, titles);
	for (size_t i = 0; r == 0 && i < table->n_cells; i += table->n_columns)
		r = print_row(table, widths, (const char *const *)table->cells + i);
	return r;
}
