/* Allocators inside of programs: by the names that a file defines. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "daemon/proc/allocator.h"
#include "profd/base.h"

struct image {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3]; /* none, names, symbols */
	Elf64_Sym symbols[3];
	char names[64];
};

static void make(struct image *i, const char *first, const char *second)
{
	*i = (struct image){0};
	memcpy(i->header.e_ident, ELFMAG, SELFMAG);
	i->header.e_ident[EI_CLASS] = ELFCLASS64;
	i->header.e_ident[EI_DATA] = ELFDATA2LSB;
	i->header.e_shentsize = sizeof(Elf64_Shdr);
	i->header.e_shnum = 3;
	i->header.e_shoff = offsetof(struct image, sections);
	i->sections[1].sh_type = SHT_STRTAB;
	i->sections[1].sh_offset = offsetof(struct image, names);
	i->sections[1].sh_size = sizeof(i->names);
	i->sections[2].sh_type = SHT_SYMTAB;
	i->sections[2].sh_link = 1;
	i->sections[2].sh_entsize = sizeof(Elf64_Sym);
	i->sections[2].sh_offset = offsetof(struct image, symbols);
	i->sections[2].sh_size = sizeof(i->symbols);
	strcpy(i->names + 1, first);
	strcpy(i->names + 32, second);
	for (int n = 1; n <= 2; n++)
		i->symbols[n] = (Elf64_Sym){
			.st_name = n == 1 ? 1 : 32,
			.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			.st_shndx = 1,
		};
}

static int find(const struct image *i, size_t budget, const char **ret)
{
	_cleanup_close_ int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_int_equal(write(fd, i, sizeof(*i)), sizeof(*i));
	*ret = "untouched";
	return allocator_find(fd, &budget, ret);
}

static void test_what_is_defined_counts(void **state)
{
	struct image i;
	const char *text;

	make(&i, "malloc", "mallctl");
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_non_null(strstr(text, "has jemalloc built in:"));
	i.symbols[1].st_shndx = SHN_UNDEF; /* it is the C library's, then */
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_non_null(strstr(text, "has jemalloc built in beside malloc"));
	make(&i, "main", "malloc");
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_non_null(strstr(text, "malloc of its own"));
	make(&i, "main", "xmalloc");
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_null(text);
	make(&i, "main", "malloc"); /* a variable */
	i.symbols[2].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_null(text);
}

static void test_hostile_files(void **state)
{
	struct image i;
	const char *text;

	make(&i, "malloc", "x");
	i.symbols[1].st_name = UINT32_MAX;
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_null(text);
	make(&i, "malloc", "x");
	i.sections[2].sh_link = 3;
	assert_int_equal(find(&i, 10000, &text), -EBADMSG);
	make(&i, "malloc", "x");
	i.sections[2].sh_size = UINT64_MAX;
	assert_int_equal(find(&i, 10000, &text), -EFBIG);
	make(&i, "malloc", "x");
	i.sections[1].sh_size = UINT64_MAX - 100;
	assert_int_equal(find(&i, 10000, &text), -EFBIG);
	make(&i, "malloc", "x");
	i.sections[1].sh_offset = UINT64_MAX - 8;
	assert_int_equal(find(&i, 10000, &text), -EBADMSG);
	make(&i, "malloc", "x");
	i.sections[2].sh_entsize = 1;
	assert_int_equal(find(&i, 10000, &text), -EBADMSG);
	make(&i, "malloc", "x");
	i.header.e_shnum = UINT16_MAX;
	assert_int_equal(find(&i, 10000, &text), -EBADMSG);
	make(&i, "malloc", "x");
	assert_int_equal(find(&i, 100, &text), -EFBIG);
	assert_string_equal(text, "untouched");
	memset(i.names, 'm', sizeof(i.names)); /* no end to a name */
	assert_int_equal(find(&i, 10000, &text), 0);
	assert_null(text);
}

static void test_own_program(void **state)
{
	struct allocators *allocators;
	struct keeper *keeper;

	assert_int_equal(keeper_new_local(&keeper), 0);
	assert_int_equal(allocators_new(&allocators), 0);
	/* without a budget nothing is examined, and that is counted */
	assert_null(allocators_find(allocators, keeper, getpid()));
	assert_int_equal(allocators_unexamined(allocators), 1);
	allocators_begin(allocators);
	assert_null(allocators_find(allocators, keeper, 0));
	allocators_free(allocators);
	keeper_free(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_defined_counts),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_own_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
