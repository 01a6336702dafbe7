/*
 * Call-frame rows of real files, compared with what libdw reads out of the
 * same bytes, and of this process's own modules, reached as the preload client
 * reaches them.
 */
#include "proto/cfi.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "profd/base.h"

#define ADDRESSES_PER_FILE 4000

struct file {
	int fd;
	Elf *elf;
	Dwarf_CFI *cfi;
	struct cfi_module module;
};

static bool open_file(const char *path, struct file *f)
{
	Elf_Scn *scn = NULL;
	size_t names;

	*f = (struct file){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	if (f->fd < 0)
		return false;
	elf_version(EV_CURRENT);
	f->elf = elf_begin(f->fd, ELF_C_READ_MMAP, NULL);
	assert_non_null(f->elf);
	assert_int_equal(elf_getshdrstrndx(f->elf, &names), 0);
	while ((scn = elf_nextscn(f->elf, scn))) {
		GElf_Shdr sh;
		const char *name = elf_strptr(f->elf, names, gelf_getshdr(scn, &sh)->sh_name);

		if (sh.sh_type == SHT_NOBITS)
			continue;
		if (!strcmp(name, ".eh_frame_hdr")) {
			f->module.hdr = elf_getdata(scn, NULL)->d_buf;
			f->module.hdr_bytes = sh.sh_size;
			f->module.hdr_vaddr = sh.sh_addr;
		} else if (!strcmp(name, ".eh_frame")) {
			f->module.eh_frame = elf_getdata(scn, NULL)->d_buf;
			f->module.eh_frame_bytes = sh.sh_size;
			f->module.eh_frame_vaddr = sh.sh_addr;
		}
	}
	f->cfi = dwarf_getcfi_elf(f->elf);
	return f->module.hdr && f->module.eh_frame && f->cfi;
}

static void close_file(struct file *f)
{
	dwarf_cfi_end(f->cfi);
	elf_end(f->elf);
	close(f->fd);
}

/* libdw's answer for a register: 0: unchanged or undefined, else its offset to
 * the CFA. False: neither. */
static bool libdw_offset(Dwarf_Frame *frame, int reg, int32_t *ret_offset)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	assert_int_equal(dwarf_frame_register(frame, reg, mem, &ops, &n), 0);
	*ret_offset = 0;
	if (n == 0)
		return true;
	if (ops[0].atom != DW_OP_call_frame_cfa || n > 2)
		return false;
	if (n == 2) {
		if (ops[1].atom != DW_OP_plus_uconst)
			return false;
		*ret_offset = (int32_t)ops[1].number;
	}
	return true;
}

static const uint8_t regs[] = {CFI_RBX, CFI_RBP, CFI_R12, CFI_R13, CFI_R14, CFI_R15, CFI_RA};

/* True if every register lies at an offset to the CFA, for libdw, too. */
static bool libdw_is_plain(Dwarf_Frame *frame)
{
	int32_t offset;

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (!libdw_offset(frame, regs[i], &offset))
			return false;
	return true;
}

enum verdict { AGREED, OTHER_KIND, SKIPPED };

static enum verdict compare_address(const struct file *f, uint64_t vaddr)
{
	_cleanup_free_ Dwarf_Frame *frame = NULL;
	struct cfi_row row;
	int32_t offset;
	Dwarf_Addr start, end;
	Dwarf_Op *ops;
	size_t n;
	bool signal;
	int r;

	r = cfi_find_row(&f->module, vaddr, &row);
	if (dwarf_cfi_addrframe(f->cfi, vaddr, &frame) != 0) {
		assert_int_equal(r, -ENOENT);
		return SKIPPED;
	}
	assert_int_equal(r, 0);
	assert_true(dwarf_frame_info(frame, &start, &end, &signal) >= 0);
	assert_in_range(row.start, start, vaddr); /* libdw's goes back at a restored state */
	assert_int_equal(row.end, end);
	assert_int_equal(dwarf_frame_cfa(frame, &ops, &n), 0);
	if (row.kind != CFI_ROW_OFFSET) {
		assert_true(n != 1 || row.kind == CFI_ROW_END || !libdw_is_plain(frame));
		return OTHER_KIND;
	}
	assert_int_equal(n, 1);
	assert_int_equal(ops[0].atom, DW_OP_bregx);
	assert_int_equal(ops[0].number, row.cfa_reg);
	assert_int_equal((int32_t)ops[0].number2, row.cfa_offset);

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		const int32_t mine[] = {row.rbx, row.rbp, row.r12,	row.r13,
					row.r14, row.r15, row.ra_offset};

		assert_true(libdw_offset(frame, regs[i], &offset));
		assert_int_equal(offset, mine[i]);
	}
	return AGREED;
}

static const char *const files[] = {
	"/lib/x86_64-linux-gnu/libc.so.6",
	"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
	"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
	"/lib64/ld-linux-x86-64.so.2",
	"/usr/bin/python3",
	"/usr/bin/bash",
};

static void agrees_with_libdw(void **state)
{
	unsigned counts[3] = {0};
	uint64_t seed = 42;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct file f;
		uint32_t n;

		if (!open_file(files[i], &f))
			continue;
		memcpy(&n, f.module.hdr + 8, 4);
		for (unsigned k = 0; k < ADDRESSES_PER_FILE; k++) {
			int32_t words[4];
			uint64_t entry;

			seed = seed * 6364136223846793005 + 1442695040888963407;
			entry = (seed >> 33) % (n - 1);
			memcpy(words, f.module.hdr + 12 + entry * 8, sizeof(words));
			counts[compare_address(
				&f, f.module.hdr_vaddr + (uint64_t)(int64_t)words[0] +
					    (seed & 0xffff) % (uint32_t)(words[2] - words[0]))]++;
		}
		close_file(&f);
	}
	print_message("rows that libdw agrees with: %u; of other kinds: %u; in no function: %u\n",
		      counts[AGREED], counts[OTHER_KIND], counts[SKIPPED]);
	assert_true(counts[AGREED] >= 5000);
}

static void finds_without_a_table(void **state)
{
	struct cfi_row with, without;
	struct file f;
	int32_t words[2];

	assert_true(open_file(files[0], &f));
	memcpy(words, f.module.hdr + 12 + 8 * 1000, sizeof(words));
	assert_int_equal(cfi_find_row(&f.module, f.module.hdr_vaddr + (uint64_t)words[0], &with),
			 0);
	f.module.hdr = NULL;
	assert_int_equal(cfi_find_row(&f.module, f.module.hdr_vaddr + (uint64_t)words[0], &without),
			 0);
	assert_memory_equal(&with, &without, sizeof(with));
	close_file(&f);
}

/* ---- this process's own modules, as the preload client reads them */

static struct cfi_row handler_row;
static int handler_result = -1;
static bool handler_offsets;

static void module_of(const void *address, struct cfi_module *ret_module, uint64_t *ret_vaddr)
{
	struct dl_find_object object;
	const uint8_t *hdr;

	assert_int_equal(_dl_find_object((void *)address, &object), 0);
	hdr = object.dlfo_eh_frame;
	*ret_vaddr = (uint64_t)address - object.dlfo_link_map->l_addr;
	assert_int_equal(cfi_module_from_hdr(hdr, (uint64_t)hdr - object.dlfo_link_map->l_addr,
					     (uint64_t)hdr - (uint64_t)object.dlfo_map_start,
					     (uint64_t)object.dlfo_map_end - (uint64_t)hdr,
					     ret_module),
			 0);
}

static void handler(int sig, siginfo_t *info, void *context)
{
	const char *sp = (const char *)__builtin_dwarf_cfa();
	ucontext_t *uc = context;
	struct cfi_module m;
	uint64_t vaddr;

	module_of(__builtin_return_address(0), &m, &vaddr);
	handler_result = cfi_find_row(&m, vaddr - 1, &handler_row);
	handler_offsets =
		sp + cfi_signal_offset(CFI_RA) == (char *)&uc->uc_mcontext.gregs[REG_RIP] &&
		sp + cfi_signal_offset(CFI_RSP) == (char *)&uc->uc_mcontext.gregs[REG_RSP] &&
		sp + cfi_signal_offset(CFI_RBX) == (char *)&uc->uc_mcontext.gregs[REG_RBX];
}

static void recognises_the_signal_frame(void **state)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(handler_result, 0);
	assert_int_equal(handler_row.kind, CFI_ROW_SIGNAL);
	assert_true(handler_offsets);
	assert_int_equal(cfi_signal_offset(CFI_REG_N), -1);
}

static void mapped_header_bounds_its_module(void **state)
{
	struct cfi_module m, ignored;
	struct cfi_row row;
	uint64_t vaddr;

	module_of((const void *)(uintptr_t)handler, &m, &vaddr);
	assert_int_equal(cfi_find_row(&m, vaddr, &row), 0);
	assert_int_equal(row.start, vaddr);
	assert_int_equal(cfi_module_from_hdr(m.hdr, m.hdr_vaddr, 0, 7, &ignored), -EBADMSG);
	assert_int_equal(cfi_module_from_hdr(m.hdr, m.hdr_vaddr, 0, (uint64_t)(m.eh_frame - m.hdr),
					     &ignored),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_libdw),
		cmocka_unit_test(finds_without_a_table),
		cmocka_unit_test(recognises_the_signal_frame),
		cmocka_unit_test(mapped_header_bounds_its_module),
	};

	return cmocka_run_group_tests_name("proto-cfi-files", tests, NULL, NULL);
}
