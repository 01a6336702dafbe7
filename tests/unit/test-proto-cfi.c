/*
 * Call-frame rows: of hand-made sections of every shape that is recognised, and
 * of bytes that mean harm. Sections are copied to allocations of their exact size, so that an
 * address sanitizer sees a read beyond them.
 */
#include "proto/cfi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "profd/base.h"

#define TEXT	   0x10000 /* where the hand-made sections' function lies */
#define TEXT_BYTES 0x100
#define SECTION	   0x20000

/* ---- hand-made sections */

struct section {
	uint8_t bytes[8192];
	size_t n;
	size_t fde; /* offset of the FDE */
};

static void put(struct section *s, uint64_t v, unsigned bytes)
{
	memcpy(s->bytes + s->n, &v, bytes);
	s->n += bytes;
}

static void put_bytes(struct section *s, const void *p, size_t n)
{
	memcpy(s->bytes + s->n, p, n);
	s->n += n;
}

static void put_length(struct section *s, size_t at)
{
	uint32_t n;

	while ((s->n - at) % 8)
		s->bytes[s->n++] = 0;
	n = (uint32_t)(s->n - at - 4);
	memcpy(s->bytes + at, &n, 4);
}

/* CIE as gcc writes it: rsp+8 is the CFA, the return address lies at CFA-8. */
static void put_cie(struct section *s, unsigned version, const char *letters)
{
	size_t at = s->n;

	put(s, 0, 4);
	put(s, 0, 4);
	put(s, version, 1);
	put_bytes(s, letters, strlen(letters) + 1);
	if (version == 4)
		put(s, 8, 2);
	put_bytes(s, "\x01\x78\x10", 3);	 /* align 1, -8; return address r16 */
	put_bytes(s, "\x01\x1b", 2);		 /* pcrel sdata4 */
	put_bytes(s, "\x0c\x07\x08\x90\x01", 5); /* def_cfa rsp 8; offset rip 1 */
	put_length(s, at);
}

static void put_fde(struct section *s, const void *program, size_t n)
{
	size_t at = s->n;

	s->fde = at;
	put(s, 0, 4);
	put(s, at + 4, 4); /* back to the CIE at 0 */
	put(s, (uint64_t)TEXT - (SECTION + s->n), 4);
	put(s, TEXT_BYTES, 4);
	put(s, 0, 1);
	put_bytes(s, program, n);
	put_length(s, at);
}

static void build(struct section *s, const void *program, size_t n)
{
	*s = (struct section){.n = 0};
	put_cie(s, 1, "zR");
	put_fde(s, program, n);
}

/* Asks for the row at TEXT + @at, of a copy without a byte to spare. */
static int ask(const struct section *s, unsigned at, struct cfi_row *ret_row)
{
	_cleanup_free_ uint8_t *copy = malloc(s->n ? s->n : 1);
	struct cfi_module m = {
		.eh_frame = copy,
		.eh_frame_bytes = s->n,
		.eh_frame_vaddr = SECTION,
	};

	assert_non_null(copy);
	memcpy(copy, s->bytes, s->n);
	return cfi_find_row(&m, TEXT + at, ret_row);
}

static void row_has_rules_and_bounds(void **state)
{
	/* push rbp at 1; rbx in -24 from 4 on; leave at 0x44 */
	static const char program[] =
		"\x41\x0e\x10\x86\x02\x43\x0d\x06\x83\x03\x02\x40\x0c\x07\x08\xc3";
	struct section s;
	struct cfi_row row;

	build(&s, program, sizeof(program) - 1);
	assert_int_equal(ask(&s, 0, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_OFFSET);
	assert_int_equal(row.cfa_reg, CFI_RSP);
	assert_int_equal(row.cfa_offset, 8);
	assert_int_equal(row.ra_offset, -8);
	assert_int_equal(row.rbp, 0);
	assert_int_equal(row.start, TEXT);
	assert_int_equal(row.end, TEXT + 1);

	assert_int_equal(ask(&s, 0x10, &row), 0);
	assert_int_equal(row.cfa_reg, CFI_RBP);
	assert_int_equal(row.cfa_offset, 16);
	assert_int_equal(row.rbp, -16);
	assert_int_equal(row.rbx, -24);
	assert_int_equal(row.start, TEXT + 4);
	assert_int_equal(row.end, TEXT + 0x44);

	assert_int_equal(ask(&s, TEXT_BYTES - 1, &row), 0);
	assert_int_equal(row.cfa_reg, CFI_RSP);
	assert_int_equal(row.rbp, -16);
	assert_int_equal(row.rbx, 0); /* restored to the CIE's rule */
	assert_int_equal(row.end, TEXT + TEXT_BYTES);
	assert_int_equal(ask(&s, TEXT_BYTES, &row), -ENOENT);
}

static void row_after_restore_state(void **state)
{
	static const char program[] = "\x41\x0e\x10\x8c\x02\x0a\x41\x0e\x08\xcc\x41\x0b";
	struct section s;
	struct cfi_row row;

	build(&s, program, sizeof(program) - 1);
	assert_int_equal(ask(&s, 2, &row), 0);
	assert_int_equal(row.cfa_offset, 8);
	assert_int_equal(row.r12, 0);
	assert_int_equal(ask(&s, 3, &row), 0);
	assert_int_equal(row.cfa_offset, 16);
	assert_int_equal(row.r12, -16);
}

static void recognises_plt(void **state)
{
	static const char program[] =
		"\x0e\x10\x46\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3a\x2a\x33\x24\x22";
	struct section s;
	struct cfi_row row;

	build(&s, program, sizeof(program) - 1);
	assert_int_equal(ask(&s, 0x20, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_PLT);
	assert_int_equal(row.cfa_reg, CFI_RSP);
	assert_int_equal(row.cfa_offset, 8);
	assert_int_equal(row.plt_from, 10);
}

static void recognises_realigned_frame(void **state)
{
	/* gcc: r12 at *(rbp-8), rbp at *(rbp+0), CFA = *(rbp-16) */
	static const char program[] =
		"\x10\x06\x02\x76\x00\x10\x0c\x02\x76\x78\x0f\x03\x76\x70\x06";
	struct section s;
	struct cfi_row row;

	build(&s, program, sizeof(program) - 1);
	assert_int_equal(ask(&s, 5, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_ALIGNED);
	assert_int_equal(row.from_rbp, 1 << CFI_RBP | 1 << CFI_R12);
	assert_int_equal(row.rbp, 0);
	assert_int_equal(row.r12, -8);
	assert_true(row.cfa_deref);
	assert_int_equal(row.cfa_reg, CFI_RBP);
	assert_int_equal(row.cfa_offset, -16);
	assert_int_equal(row.cfa_add, 0);
}

static void recognises_stack_pointer_slot(void **state)
{
	/* rsp+40, deref[, +8] */
	struct section s;
	struct cfi_row row;

	build(&s, "\x0f\x05\x77\x28\x06\x23\x08", 7);
	assert_int_equal(ask(&s, 5, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_ALIGNED);
	assert_int_equal(row.cfa_add, 8);
	assert_int_equal(row.from_rbp, 0);

	build(&s, "\x0f\x03\x77\x28\x06", 5);
	assert_int_equal(ask(&s, 5, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_DEREF);
	assert_int_equal(row.cfa_reg, CFI_RSP);
	assert_int_equal(row.cfa_offset, 40);
}

static void leaves_the_rest_to_a_machine(void **state)
{
	static const struct {
		const char *program;
		size_t n;
	} cases[] = {
		{"\x0f\x04\x77\x08\x30\x22", 6}, /* CFA by some other expression */
		{"\x16\x03\x02\x77\x08", 5},	 /* val_expression rbx */
		{"\x14\x06\x02", 3},		 /* val_offset rbp */
		{"\x09\x10\x03", 3},		 /* return address in rbx */
		{"\x10\x0c\x03\x76\x08\x06", 6}, /* r12 by a longer expression */
		{"\x05\x03\x80\x80\x04", 5},	 /* rbx further off than a rule holds */
		{"\x0c\x20\x08", 3},		 /* CFA from a vector register */
		{"\x08\x10", 2},		 /* return address unchanged */
	};
	struct section s;
	struct cfi_row row;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		build(&s, cases[i].program, cases[i].n);
		assert_int_equal(ask(&s, 0, &row), 0);
		assert_int_equal(row.kind, CFI_ROW_EXPRESSION);
	}
	/* The same of registers that no caller relies on does not matter. */
	build(&s, "\x16\x02\x02\x77\x08", 5);
	assert_int_equal(ask(&s, 0, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_OFFSET);
}

static void undefined_return_address_ends(void **state)
{
	struct section s;
	struct cfi_row row;

	build(&s, "\x07\x10", 2);
	assert_int_equal(ask(&s, 0, &row), 0);
	assert_int_equal(row.kind, CFI_ROW_END);
}

static void reads_cie_versions_and_letters(void **state)
{
	static const unsigned versions[] = {1, 3, 4};
	struct section s;
	struct cfi_row row;

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		s = (struct section){.n = 0};
		put_cie(&s, versions[i], "zR");
		put_fde(&s, "", 0);
		assert_int_equal(ask(&s, 0, &row), 0);
		assert_int_equal(row.cfa_offset, 8);
	}
	s = (struct section){.n = 0};
	put_cie(&s, 2, "zR");
	put_fde(&s, "", 0);
	assert_int_equal(ask(&s, 0, &row), -ENOTSUP);
	s = (struct section){.n = 0};
	put_cie(&s, 1, "eh");
	put_fde(&s, "", 0);
	assert_int_equal(ask(&s, 0, &row), -ENOTSUP);
}

/* ---- bytes that mean harm */

static void refuses_lies(void **state)
{
	static const struct {
		size_t at; /* in the FDE */
		uint32_t value;
		int expected;
	} cases[] = {
		{0, 0xfffffff0, -EBADMSG}, /* longer than the section */
		{0, 0xffffffff, -EBADMSG}, /* a 64-bit length, out of the program's bytes */
		{0, 2, -EBADMSG},	   /* too short for its own fields */
		{4, 0xffff, -EBADMSG},	   /* a CIE before the section */
		{4, 4, -EBADMSG},	   /* its own CIE: a loop */
		{12, 0, -ENOENT},	   /* covers nothing */
	};
	struct cfi_row row, untouched;
	struct section s;

	memset(&row, 0x5a, sizeof(row));
	untouched = row;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		build(&s, "\x41\x0e\x10\x86\x02\x43\x0d\x06", 8);
		memcpy(s.bytes + s.fde + cases[i].at, &cases[i].value, 4);
		assert_int_equal(ask(&s, 0, &row), cases[i].expected);
		assert_memory_equal(&row, &untouched, sizeof(row));
	}
}

static void refuses_programs_that_lie(void **state)
{
	static const struct {
		const char *program;
		size_t n;
		int expected;
	} cases[] = {
		{"\x0b", 1, -EBADMSG},				   /* nothing remembered */
		{"\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a", 8, -ENOTSUP}, /* too much remembered */
		{"\x3f\x00", 2, -ENOTSUP},			   /* no such instruction */
		{"\x0f\x7f\x77", 3, -EBADMSG},		       /* an expression beyond the end */
		{"\x0f\x03\x77\x28\x06\x0e\x10", 7, -EBADMSG}, /* offset of an expression */
		{"\x0e\xff\xff\xff\xff\xff\xff\xff", 8, -EBADMSG}, /* a number without an end */
		{"\x01\x00\xff\xfe\xff", 5, -EBADMSG},		   /* backwards */
	};
	struct section s;
	struct cfi_row row;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		build(&s, cases[i].program, cases[i].n);
		s.n = s.fde + 17 + cases[i].n; /* no padding */
		memcpy(s.bytes + s.fde, &(uint32_t){(uint32_t)(s.n - s.fde - 4)}, 4);
		assert_int_equal(ask(&s, 1, &row), cases[i].expected);
	}
}

static void bounds_a_huge_program(void **state)
{
	static uint8_t nops[CFI_MAX_OPS + 1];
	struct section s;
	struct cfi_row row;

	build(&s, nops, CFI_MAX_OPS - 64);
	assert_int_equal(ask(&s, 0, &row), 0);
	build(&s, nops, sizeof(nops));
	assert_int_equal(ask(&s, 0, &row), -ENOTSUP);
}

static void survives_every_truncation_and_change(void **state)
{
	static const char program[] =
		"\x41\x0e\x10\x86\x02\x43\x0d\x06\x0f\x03\x76\x70\x06\x0a\x0b";
	uint32_t seed = 1;
	struct section s;
	struct cfi_row row;
	size_t whole;

	build(&s, program, sizeof(program) - 1);
	whole = s.n;
	for (s.n = 0; s.n < whole; s.n++)
		assert_true(ask(&s, 0x10, &row) < 0);

	for (unsigned i = 0; i < 200000; i++) {
		build(&s, program, sizeof(program) - 1);
		for (unsigned k = 0; k < 1 + i % 3; k++) {
			seed = seed * 1664525 + 1013904223;
			s.bytes[(seed >> 8) % whole] ^= (uint8_t)(seed >> 24);
		}
		(void)ask(&s, (seed >> 16) % TEXT_BYTES, &row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_has_rules_and_bounds),
		cmocka_unit_test(row_after_restore_state),
		cmocka_unit_test(recognises_plt),
		cmocka_unit_test(recognises_realigned_frame),
		cmocka_unit_test(recognises_stack_pointer_slot),
		cmocka_unit_test(leaves_the_rest_to_a_machine),
		cmocka_unit_test(undefined_return_address_ends),
		cmocka_unit_test(reads_cie_versions_and_letters),
		cmocka_unit_test(refuses_lies),
		cmocka_unit_test(refuses_programs_that_lie),
		cmocka_unit_test(bounds_a_huge_program),
		cmocka_unit_test(survives_every_truncation_and_change),
	};

	return cmocka_run_group_tests_name("proto-cfi", tests, NULL, NULL);
}
