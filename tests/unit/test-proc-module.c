/*
 * Modules: identity and aliasing, what is read out of ELF files, and that a
 * broken file is refused.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "daemon/proc/elf.h"
#include "daemon/proc/module.h"
#include "profd/base.h"
#include "profd/limits.h"

static const uint8_t some_id[20] = {1, 2, 3, 0xfe};

static struct module_table *table;

static int setup(void **state)
{
	return module_table_new(&table);
}

static int teardown(void **state)
{
	module_table_free(table);
	return 0;
}

static struct module *get(const char *path, uint64_t inode, uint64_t generation)
{
	struct module_key key = {.dev = 5, .inode = inode, .inode_generation = generation};

	return module_get_file(table, path, &key);
}

static struct module *get_by_id(const char *path, const uint8_t *id, size_t bytes)
{
	struct module_key key = {.build_id = id, .build_id_bytes = bytes};

	return module_get_file(table, path, &key);
}

static int open_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* A copy of this program in memory, to be damaged. */
static int copy_self(void)
{
	_cleanup_close_ int in = open_self();
	int out = memfd_create("copy", MFD_CLOEXEC);
	struct stat st;
	_cleanup_free_ char *bytes = NULL;

	assert_int_equal(fstat(in, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(in, bytes, (size_t)st.st_size, 0), st.st_size);
	assert_int_equal(pwrite(out, bytes, (size_t)st.st_size, 0), st.st_size);
	return out;
}

static void test_same_inode_is_one_module(void **state)
{
	struct module *a = get("/usr/bin/a", 1, 0);

	assert_non_null(a);
	assert_ptr_equal(get("/usr/bin/a (deleted)", 1, 0), a);
	assert_ptr_not_equal(get("/usr/bin/a", 2, 0), a);
	assert_ptr_not_equal(get("/usr/bin/b", 1, 0), a);
	assert_string_equal(a->path, "/usr/bin/a");
	assert_ptr_equal(module_by_id(table, a->id), a);
	assert_null(module_by_id(table, 0));
	assert_null(module_by_id(table, 4));
}

static void test_reused_inode_number_is_another_module(void **state)
{
	struct module *a = get("/tmp/a.out", 1, 100);

	assert_ptr_equal(get("/tmp/a.out", 1, 0), a); /* /proc tells no generation */
	assert_ptr_not_equal(get("/tmp/a.out", 1, 101), a);
}

static void test_build_id_makes_one_module_of_many_paths(void **state)
{
	struct module *a = get_by_id("/usr/lib/libx.so", some_id, sizeof(some_id));
	char hex[2 * MODULE_BUILD_ID_MAX + 1];

	assert_ptr_equal(get_by_id("/container/lib/libx.so", some_id, sizeof(some_id)), a);
	assert_ptr_not_equal(get_by_id("/usr/lib/libx.so", some_id, 8), a);
	module_build_id_hex(a, hex);
	assert_string_equal(hex, "010203fe00000000000000000000000000000000");
}

static void test_kinds_without_a_file(void **state)
{
	struct module *kernel = module_get_kernel(table), *jit = module_get_jit(table, 7);
	struct module *note = module_get_note(table, "[truncated]");

	assert_ptr_equal(module_get_kernel(table), kernel);
	assert_int_equal(kernel->kind, MODULE_KERNEL);
	assert_string_equal(kernel->path, "[kernel.kallsyms]");
	assert_ptr_equal(module_get_jit(table, 7), jit);
	assert_ptr_not_equal(module_get_jit(table, 8), jit);
	assert_int_equal(jit->pid, 7);
	assert_ptr_equal(module_get_note(table, "[truncated]"), note);
	assert_int_equal(note->kind, MODULE_NOTE);
	/* A note that is called as the kernel is not the kernel. */
	assert_ptr_not_equal(module_get_note(table, "[kernel.kallsyms]"), kernel);
}

static void test_adopt_reads_the_layout(void **state)
{
	struct module *m = get("/self", 1, 0), *found = NULL;
	const struct cfi_module *cfi;
	uint64_t vaddr, offset;

	assert_int_equal(module_adopt_fd(table, m, open_self(), &found), 0);
	assert_ptr_equal(found, m);
	assert_true(m->opened && m->fd >= 0);
	assert_int_equal(m->build_id_bytes, 20);
	assert_true(m->n_segments >= 1);

	offset = m->segments[0].file_offset + 16;
	assert_true(module_offset_to_vaddr(m, offset, &vaddr));
	assert_int_equal(vaddr, m->segments[0].vaddr + 16);
	assert_false(module_offset_to_vaddr(m, 0, &vaddr));
	assert_false(module_offset_to_vaddr(m, m->segments[0].file_offset + m->segments[0].bytes,
					    &vaddr));

	cfi = module_cfi(table, m);
	assert_non_null(cfi);
	assert_int_equal(cfi->hdr[0], 1);
	assert_true(cfi->eh_frame_bytes > 64);
	assert_ptr_equal(module_cfi(table, m), cfi);
	assert_int_equal(module_table_cfi_bytes(table), cfi->hdr_bytes + cfi->eh_frame_bytes);
}

static int find_hdr(struct dl_phdr_info *info, size_t size, void *userdata)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
			*(const uint8_t **)userdata =
				(const uint8_t *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	return 1; /* the first is the program itself */
}

static void test_unwind_information_is_what_the_loader_mapped(void **state)
{
	struct module *m = get("/self", 1, 0), *found;
	const struct cfi_module *cfi;
	const uint8_t *mapped = NULL;

	assert_int_equal(module_adopt_fd(table, m, open_self(), &found), 0);
	cfi = module_cfi(table, m);
	dl_iterate_phdr(find_hdr, &mapped);
	assert_memory_equal(cfi->hdr, mapped, cfi->hdr_bytes);
	/* It starts with a CIE: some length, and the id 0. */
	assert_true(cfi->eh_frame[0] >= 8 && cfi->eh_frame[0] < 64);
	assert_memory_equal(cfi->eh_frame + 1, "\0\0\0\0\0\0\0", 7);
	assert_memory_equal(cfi->eh_frame, mapped + (cfi->eh_frame_vaddr - cfi->hdr_vaddr),
			    cfi->eh_frame_bytes);
}

static void test_adopt_shows_an_alias(void **state)
{
	struct module *first = get("/one", 1, 0), *second = get("/two", 2, 0), *found = NULL;

	assert_int_equal(module_adopt_fd(table, first, open_self(), &found), 0);
	assert_int_equal(module_adopt_fd(table, second, open_self(), &found), 0);
	assert_ptr_equal(found, first);
	assert_ptr_equal(second->alias_of, first);
	assert_int_equal(second->fd, -1);
	/* Whoever still holds the younger, or brings a file again, gets the elder. */
	assert_int_equal(module_adopt_fd(table, second, open_self(), &found), 0);
	assert_ptr_equal(found, first);
	/* From now on the younger's name leads to the elder. */
	assert_ptr_equal(get("/two", 2, 0), first);
	assert_ptr_equal(get_by_id("/three", first->build_id, first->build_id_bytes), first);
}

static void test_alias_lends_its_file_to_an_elder_without(void **state)
{
	struct module *probe = get("/probe", 9, 0), *elder, *m, *found = NULL;
	struct module_table *other;
	uint8_t id[20];

	assert_int_equal(module_adopt_fd(table, probe, open_self(), &found), 0);
	memcpy(id, probe->build_id, sizeof(id));

	assert_int_equal(module_table_new(&other), 0);
	elder = module_get_file(other, "/gone",
				&(struct module_key){.build_id = id, .build_id_bytes = 20});
	m = module_get_file(other, "/here", &(struct module_key){.dev = 1, .inode = 2});
	assert_int_equal(module_adopt_fd(other, m, open_self(), &found), 0);
	assert_ptr_equal(found, elder);
	assert_true(elder->fd >= 0);
	module_table_free(other);
}

static void test_adopt_refuses_another_version(void **state)
{
	struct module *m = get_by_id("/self", some_id, sizeof(some_id)), *found;

	assert_int_equal(module_adopt_fd(table, m, open_self(), &found), -ESTALE);
	assert_int_equal(m->fd, -1);
	assert_int_equal(m->error, -ESTALE);
	assert_null(module_cfi(table, m));
}

static void test_adopt_refuses_what_is_no_elf_file(void **state)
{
	struct module *m = get("/text", 1, 0), *found;
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(module_adopt_fd(table, m, fd, &found), -EBADMSG);
	m = get("/text", 2, 0);
	fd = memfd_create("text", MFD_CLOEXEC);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "not an ELF file\n", 16), 16);
	assert_int_equal(module_adopt_fd(table, m, fd, &found), -EBADMSG);
}

static void test_file_without_section_headers_keeps_its_unwind_information(void **state)
{
	struct elf_layout whole, bare;
	_cleanup_close_ int fd = copy_self();
	Elf64_Ehdr header;

	assert_int_equal(elf_read_layout(fd, &whole), 0);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	header.e_shnum = 0;
	header.e_shoff = 0;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(elf_read_layout(fd, &bare), 0);
	assert_int_equal(bare.eh_frame.offset, whole.eh_frame.offset);
	assert_true(bare.eh_frame.bytes >= whole.eh_frame.bytes);
}

static void test_truncated_file_yields_no_unwind_information(void **state)
{
	struct module *m = get("/cut", 1, 0), *found;
	int fd = copy_self();

	assert_int_equal(module_adopt_fd(table, m, fd, &found), 0);
	assert_int_equal(ftruncate(fd, 4096), 0); /* fd is the module's own: same file */
	assert_null(module_cfi(table, m));
}

/* Any byte of the headers may be wrong: nothing may crash or read outside. */
static void test_damaged_headers_do_no_harm(void **state)
{
	_cleanup_close_ int fd = copy_self();
	uint8_t original[1024], damaged[1024];
	struct elf_layout layout;
	unsigned seed = 1;

	assert_int_equal(pread(fd, original, sizeof(original), 0), sizeof(original));
	for (int round = 0; round < 4000; round++) {
		memcpy(damaged, original, sizeof(damaged));
		for (int i = 0; i < 3; i++)
			damaged[4 + (unsigned)rand_r(&seed) % 1020] = (uint8_t)rand_r(&seed);
		assert_int_equal(pwrite(fd, damaged, sizeof(damaged), 0), sizeof(damaged));
		(void)elf_read_layout(fd, &layout);
	}
}

static void test_vdso_is_a_file_like_any_other(void **state)
{
	struct module *m = module_get_vdso(table);
	uint8_t bytes[64];

	assert_non_null(m);
	assert_int_equal(m->kind, MODULE_VDSO);
	assert_true(m->fd >= 0);
	assert_non_null(module_cfi(table, m));
	assert_int_equal(pread(m->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_memory_equal(bytes, (const void *)getauxval(AT_SYSINFO_EHDR), sizeof(bytes));
	assert_ptr_equal(module_get_vdso(table), m);
}

static void test_descriptors_have_a_limit(void **state)
{
	struct rlimit was, low;
	struct module *found, *last = NULL;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = (struct rlimit){.rlim_cur = 32, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (uint64_t i = 1; i <= 17; i++) {
		uint8_t id = (uint8_t)i;
		struct elf_layout layout;
		int fd = copy_self();
		char note[4096];

		/* Each copy gets a build-id of its own: they are no aliases. */
		last = get("/copy", i, 0);
		found = NULL;
		assert_int_equal(elf_read_layout(fd, &layout), 0);
		assert_int_equal(pread(fd, note, sizeof(note), 0), sizeof(note));
		for (size_t at = 0; at + 20 <= sizeof(note); at++)
			if (memcmp(note + at, layout.build_id, 20) == 0)
				assert_int_equal(pwrite(fd, &id, 1, (off_t)at), 1);
		assert_int_equal(module_adopt_fd(table, last, fd, &found), i <= 16 ? 0 : -EMFILE);
	}
	assert_int_equal(last->error, -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static void test_modules_have_a_limit(void **state)
{
	for (uint64_t i = 1; i <= PROFD_MAX_MODULES; i++)
		assert_non_null(get("/m", i, 0));
	assert_null(get("/m", PROFD_MAX_MODULES + 1, 0));
	assert_int_equal(module_table_refused(table), 1);
	assert_int_equal(module_count(table), PROFD_MAX_MODULES);
	assert_non_null(get("/m", 1, 0));
}

/* ---- letting go */

#define MINUTE (60 * NSEC_PER_SEC)

static void test_what_is_held_stays(void **state)
{
	struct module *held = get("/held", 1, 0), *by_id = get("/by-id", 2, 0);
	uint32_t id = get("/left", 3, 0)->id, jit = module_get_jit(table, 7)->id;
	uint32_t kernel = module_get_kernel(table)->id, note = module_get_note(table, "[x]")->id;

	for (uint64_t now = 10 * MINUTE; now < 13 * MINUTE; now += MINUTE / 6) {
		module_keep(held);
		module_keep_id(table, by_id->id);
		module_keep_id(table, 999);
		module_sweep(table, now);
	}
	assert_ptr_equal(module_by_id(table, held->id), held);
	assert_ptr_equal(get("/held", 1, 0), held);
	assert_ptr_equal(get("/by-id", 2, 0), by_id);
	assert_null(module_by_id(table, id));
	assert_null(module_by_id(table, jit));
	assert_non_null(module_by_id(table, kernel));
	assert_non_null(module_by_id(table, note));
	assert_int_equal(module_table_freed(table), 2);
	/* found anew, but never under an id that was another's */
	assert_true(get("/left", 3, 0)->id > note);
}

static void test_a_program_that_ended_is_kept_for_its_next_run(void **state)
{
	uint32_t id = get("/cron", 1, 0)->id;

	module_keep_id(table, id);
	module_sweep(table, 10 * MINUTE);
	module_sweep(table, 10 * MINUTE + (PROFD_MODULE_IDLE_SECONDS - 1) * NSEC_PER_SEC);
	assert_non_null(module_by_id(table, id));
	module_sweep(table, 10 * MINUTE + PROFD_MODULE_IDLE_SECONDS * NSEC_PER_SEC);
	assert_null(module_by_id(table, id));
}

static void test_those_kept_have_a_limit_and_the_oldest_go(void **state)
{
	struct module *old = get("/m", 1, 0), *young;
	uint32_t old_id = old->id;

	module_keep(old);
	module_sweep(table, 10 * MINUTE);
	for (uint64_t i = 0; i < PROFD_MAX_IDLE_MODULES; i++)
		young = get("/m", 10 + i, 0);
	for (uint64_t i = 0; i < PROFD_MAX_IDLE_MODULES; i++)
		module_keep(get("/m", 10 + i, 0));
	module_sweep(table, 10 * MINUTE + 1);
	module_sweep(table, 10 * MINUTE + 2);
	assert_int_equal(module_count(table), PROFD_MAX_IDLE_MODULES);
	assert_null(module_by_id(table, old_id));
	assert_ptr_equal(get("/m", 10 + PROFD_MAX_IDLE_MODULES - 1, 0), young);
}

static void test_a_crowded_table_waits_for_nothing(void **state)
{
	struct module *held = get("/m", 1, 0);

	for (uint64_t i = 2; i <= PROFD_MAX_MODULES; i++)
		assert_non_null(get("/m", i, 0));
	assert_true(module_table_is_crowded(table));
	module_keep(held);
	module_sweep(table, 10 * MINUTE);
	assert_int_equal(module_count(table), 1);
	assert_false(module_table_is_crowded(table));
	assert_ptr_equal(get("/m", 1, 0), held);
}

static void test_files_of_freed_modules_are_closed(void **state)
{
	struct module *m = get("/self", 1, 0), *found;
	int fd;

	assert_int_equal(module_adopt_fd(table, m, open_self(), &found), 0);
	assert_non_null(module_cfi(table, m));
	assert_true(module_table_cfi_bytes(table) > 0);
	assert_int_equal(module_table_open(table), 1);
	fd = m->fd;
	module_sweep(table, 10 * MINUTE);
	assert_int_equal(module_count(table), 0);
	assert_int_equal(module_table_open(table), 0);
	assert_int_equal(module_table_cfi_bytes(table), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_an_alias_keeps_the_module_that_it_is(void **state)
{
	struct module *elder = get("/self", 1, 0), *alias = get("/copy", 2, 0), *found;
	uint32_t elder_id = elder->id, alias_id = alias->id;

	assert_int_equal(module_adopt_fd(table, elder, open_self(), &found), 0);
	assert_int_equal(module_adopt_fd(table, alias, open_self(), &found), 0);
	assert_ptr_equal(alias->alias_of, elder);
	for (uint64_t now = 10 * MINUTE; now < 13 * MINUTE; now += MINUTE) {
		module_keep(alias);
		module_sweep(table, now);
		assert_ptr_equal(module_by_id(table, elder_id), elder);
	}
	module_keep(elder);
	module_sweep(table, 13 * MINUTE);
	assert_null(module_by_id(table, alias_id));
	assert_ptr_equal(get("/copy", 2, 0), elder);
	module_sweep(table, 20 * MINUTE);
	assert_int_equal(module_count(table), 0);
	assert_true(get("/copy", 2, 0)->id > alias_id);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_same_inode_is_one_module),
		T(test_reused_inode_number_is_another_module),
		T(test_build_id_makes_one_module_of_many_paths),
		T(test_kinds_without_a_file),
		T(test_adopt_reads_the_layout),
		T(test_unwind_information_is_what_the_loader_mapped),
		T(test_adopt_shows_an_alias),
		T(test_alias_lends_its_file_to_an_elder_without),
		T(test_adopt_refuses_another_version),
		T(test_adopt_refuses_what_is_no_elf_file),
		T(test_file_without_section_headers_keeps_its_unwind_information),
		T(test_truncated_file_yields_no_unwind_information),
		T(test_damaged_headers_do_no_harm),
		T(test_vdso_is_a_file_like_any_other),
		T(test_descriptors_have_a_limit),
		T(test_modules_have_a_limit),
		T(test_what_is_held_stays),
		T(test_a_program_that_ended_is_kept_for_its_next_run),
		T(test_those_kept_have_a_limit_and_the_oldest_go),
		T(test_a_crowded_table_waits_for_nothing),
		T(test_files_of_freed_modules_are_closed),
		T(test_an_alias_keeps_the_module_that_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
