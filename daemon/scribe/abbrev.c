#include "daemon/scribe/abbrev.h"

#include <dwarf.h>

#define MAX_ABBREVS (1u << 20)

bool abbrev_take_number(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

bool abbrev_take_attribute(const uint8_t **at, const uint8_t *end, struct abbrev_attribute *ret)
{
	uint64_t constant;

	ret->at = *at;
	if (!abbrev_take_number(at, end, &ret->name) || !abbrev_take_number(at, end, &ret->form))
		return false;
	/* Signed, and as long as if it were not. */
	if (ret->form == DW_FORM_implicit_const && !abbrev_take_number(at, end, &constant))
		return false;
	ret->end = *at;
	return ret->name != 0 || ret->form != 0;
}

const uint8_t *abbrev_find(struct bytes table, uint64_t code)
{
	const uint8_t *at = table.at, *end = table.at + table.n;
	struct abbrev_attribute attribute;
	uint64_t found, tag;

	for (unsigned i = 0; i < MAX_ABBREVS; i++) {
		if (!abbrev_take_number(&at, end, &found) || found == 0 ||
		    !abbrev_take_number(&at, end, &tag) ||
		    at++ >= end) /* whether it has children */
			return NULL;
		if (found == code)
			return at;
		while (abbrev_take_attribute(&at, end, &attribute))
			;
	}
	return NULL;
}
