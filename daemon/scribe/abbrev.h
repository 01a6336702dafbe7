/*
 * Tables of abbreviations, of DWARF: which attributes an entry of a kind has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {		   /* somebody else's */
	const uint8_t *at; /* NULL: none */
	size_t n;
};

struct abbrev_attribute {
	const uint8_t *at, *end; /* where the table says so */
	uint64_t name, form;
};

/* A number of 7 bits a byte, lowest first; *at moves behind it. */
bool abbrev_take_number(const uint8_t **at, const uint8_t *end, uint64_t *ret);

/* Where the attributes of the entries of the kind @code begin; NULL: there is no such. */
const uint8_t *abbrev_find(struct bytes table, uint64_t code);

/* False: that was the last, or they do not end. */
bool abbrev_take_attribute(const uint8_t **at, const uint8_t *end, struct abbrev_attribute *ret);
