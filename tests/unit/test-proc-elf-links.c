/*
 * Links to debug files, out of a small ELF file made here, and out of broken ones.
 */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/proc/elf_links.h"
#include "profd/base.h"

#define NAMES "\0.names\0.gnu_debuglink\0.gnu_debugaltlink\0.note\0.debug_info"

struct file { /* as it lies in memory */
	Elf64_Ehdr header;
	Elf64_Phdr code;
	Elf64_Shdr sections[6];
	char names[sizeof(NAMES)];
	char link[16];
	char alt[32];
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint8_t id[4];
	} note;
};

static void put(struct file *f, unsigned i, const char *name, uint32_t type, size_t offset,
		size_t n)
{
	const char *at = memmem(NAMES, sizeof(NAMES), name, strlen(name));

	f->sections[i] = (Elf64_Shdr){
		.sh_name = (uint32_t)(at - (const char *)NAMES),
		.sh_type = type,
		.sh_offset = offset,
		.sh_size = n,
		.sh_addralign = 4,
	};
}

static struct file make(void)
{
	struct file f = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			   .e_phoff = offsetof(struct file, code),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 1,
			   .e_shoff = offsetof(struct file, sections),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = 6,
			   .e_shstrndx = 1},
		.code = {.p_type = PT_LOAD, .p_flags = PF_X | PF_R, .p_vaddr = 0x1180},
		.names = NAMES,
		.link = "name.debug\0\0\x78\x56\x34\x12",
		.alt = "/x/.dwz/shared\0\xaa\xbb\xcc",
		.note = {{4, 4, NT_GNU_BUILD_ID}, "GNU", {1, 2, 3, 4}},
	};

	put(&f, 1, ".names", SHT_STRTAB, offsetof(struct file, names), sizeof(f.names));
	put(&f, 2, ".gnu_debuglink", SHT_PROGBITS, offsetof(struct file, link), 16);
	put(&f, 3, ".gnu_debugaltlink", SHT_PROGBITS, offsetof(struct file, alt), 18);
	put(&f, 4, ".note", SHT_NOTE, offsetof(struct file, note), sizeof(f.note));
	put(&f, 5, ".debug_info", SHT_NOBITS, 0, 1 << 20);
	return f;
}

static int read_links(const struct file *f, size_t n, struct elf_links *links)
{
	_cleanup_close_ int fd = memfd_create("links", MFD_CLOEXEC);

	assert_int_equal(write(fd, f, n), n);
	return elf_read_links(fd, links);
}

static void test_reads_all(void **state)
{
	struct file f = make();
	struct elf_links links;

	assert_int_equal(read_links(&f, sizeof(f), &links), 0);
	assert_true(links.has_link);
	assert_string_equal(links.link, "name.debug");
	assert_int_equal(links.link_crc, 0x12345678);
	assert_true(links.has_alt);
	assert_string_equal(links.alt, "/x/.dwz/shared");
	assert_int_equal(links.alt_build_id_bytes, 3);
	assert_memory_equal(links.alt_build_id, "\xaa\xbb\xcc", 3);
	assert_int_equal(links.build_id_bytes, 4);
	assert_memory_equal(links.build_id, "\1\2\3\4", 4);
	assert_int_equal(links.n_code, 1);
	assert_int_equal(links.code_vaddr, 0x1180);
	/* A section without bytes is none. */
	assert_false(links.has_dwarf);
	f.sections[5].sh_type = SHT_PROGBITS;
	assert_int_equal(read_links(&f, sizeof(f), &links), 0);
	assert_true(links.has_dwarf);
}

static void test_links_without_an_end(void **state)
{
	struct file f = make();
	struct elf_links links;

	f.sections[2].sh_size = 11; /* no checksum */
	f.sections[3].sh_size = 15; /* no build-id */
	assert_int_equal(read_links(&f, sizeof(f), &links), 0);
	assert_true(links.has_link && links.link[0] == '\0');
	assert_true(links.has_alt && links.alt[0] == '\0');
	f.sections[2].sh_size = 1 << 20;
	f.sections[3].sh_size = UINT64_MAX;
	f.sections[4].sh_size = UINT64_MAX;
	assert_int_equal(read_links(&f, sizeof(f), &links), 0);
	assert_true(links.link[0] == '\0' && links.alt[0] == '\0');
	assert_int_equal(links.build_id_bytes, 0);
}

/* Cut anywhere, with any byte changed: an answer or an error. */
static void test_survives_damage(void **state)
{
	struct file f = make();
	struct elf_links links;

	for (size_t n = 0; n < sizeof(f); n++)
		(void)read_links(&f, n, &links);
	for (size_t i = 0; i < sizeof(f); i++) {
		struct file g = f;

		((uint8_t *)&g)[i] ^= 0xff;
		if (read_links(&g, sizeof(g), &links) < 0)
			continue;
		assert_true(strnlen(links.link, sizeof(links.link)) < sizeof(links.link));
		assert_true(strnlen(links.alt, sizeof(links.alt)) < sizeof(links.alt));
		assert_true(links.build_id_bytes <= MODULE_BUILD_ID_MAX);
		assert_true(links.alt_build_id_bytes <= MODULE_BUILD_ID_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_all),
		cmocka_unit_test(test_links_without_an_end),
		cmocka_unit_test(test_survives_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
