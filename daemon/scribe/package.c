/*
 * A header; a hash table of units by their ids, as two arrays, ids and numbers of rows;
 * then a table with a row for each unit and a column for each section, twice: where its
 * part begins, and how large it is. The first row says which sections the columns are.
 */
#include "daemon/scribe/package.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

#define MAX_COLUMNS 16
#define MAX_SLOTS   (1u << 24)

struct index {
	const uint8_t *bytes;
	uint32_t version, n_columns, n_units, n_slots;
	uint64_t rows, columns, offsets, sizes; /* where those arrays are */
};

static uint32_t read_u32(const struct index *index, uint64_t at)
{
	uint32_t value;

	memcpy(&value, index->bytes + at, sizeof(value));
	return value;
}

static int open_index(const Elf_Data *data, struct index *index)
{
	uint64_t cells;

	if (data->d_size < 16)
		return -EBADMSG;
	*index = (struct index){.bytes = data->d_buf};
	/* In DWARF 5 two bytes, and two of padding. */
	index->version = read_u32(index, 0) & 0xffff;
	index->n_columns = read_u32(index, 4);
	index->n_units = read_u32(index, 8);
	index->n_slots = read_u32(index, 12);
	if ((index->version != 2 && index->version != 5) || index->n_columns > MAX_COLUMNS ||
	    index->n_slots > MAX_SLOTS || index->n_units > index->n_slots ||
	    (index->n_slots & (index->n_slots - 1)) != 0)
		return -EBADMSG;
	cells = (uint64_t)index->n_units * index->n_columns;
	index->rows = 16 + 8ULL * index->n_slots;
	index->columns = index->rows + 4ULL * index->n_slots;
	index->offsets = index->columns + 4ULL * index->n_columns;
	index->sizes = index->offsets + 4 * cells;
	return index->sizes + 4 * cells <= data->d_size ? 0 : -EBADMSG;
}

/* The unit's row, from 1; 0: there is none. */
static uint32_t find_row(const struct index *index, uint64_t id)
{
	uint32_t mask = index->n_slots - 1, slot = (uint32_t)id & mask;
	uint32_t step = ((uint32_t)(id >> 32) & mask) | 1, row;
	uint64_t found;

	for (uint32_t i = 0; i < index->n_slots; i++, slot = (slot + step) & mask) {
		memcpy(&found, index->bytes + 16 + 8ULL * slot, sizeof(found));
		row = read_u32(index, index->rows + 4ULL * slot);
		if (row == 0)
			return 0;
		if (found == id)
			return row <= index->n_units ? row : 0;
	}
	return 0;
}

int package_find(const Elf_Data *data, uint64_t unit_id, struct package_unit *ret_unit)
{
	struct package_unit unit = {};
	struct index index;
	uint32_t row, section;
	uint64_t cell;
	int r = open_index(data, &index);

	if (r < 0)
		return r;
	row = find_row(&index, unit_id);
	if (row == 0)
		return -ENOENT;
	unit.version = index.version;
	for (uint32_t i = 0; i < index.n_columns; i++) {
		section = read_u32(&index, index.columns + 4ULL * i);
		cell = 4 * ((uint64_t)(row - 1) * index.n_columns + i);
		if (section < PACKAGE_N_SECTIONS)
			unit.parts[section] = (struct package_part){
				read_u32(&index, index.offsets + cell),
				read_u32(&index, index.sizes + cell),
			};
	}
	*ret_unit = unit;
	return 0;
}
