/*
 * All of a symbol table's names are read at once, the symbols in portions, with
 * pread() and within a budget; nothing that the file says is used as an index or
 * a size before it has been compared with what is there.
 */
#include "daemon/proc/allocator.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/proc/elf.h"
#include "daemon/proc/elf_sections.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_SECTIONS	512
#define PORTION_SYMBOLS 4096
#define N_REMEMBERED	64

enum mark { /* the first that is found names the allocator */
	    MARK_GO,
	    MARK_ASAN,
	    MARK_JEMALLOC,
	    MARK_TCMALLOC,
	    MARK_MIMALLOC,
	    MARK_RPMALLOC,
	    MARK_MALLOC,
	    MARK_N,
};

static const struct {
	const char *name;
	enum mark mark;
} names[] = {
	{"malloc", MARK_MALLOC},
	{"mallctl", MARK_JEMALLOC},
	{"mallocx", MARK_JEMALLOC},
	{"je_malloc", MARK_JEMALLOC},
	{"je_mallocx", MARK_JEMALLOC},
	{"_rjem_malloc", MARK_JEMALLOC}, /* as Rust's crates call it */
	{"_rjem_mallocx", MARK_JEMALLOC},
	{"tc_malloc", MARK_TCMALLOC},
	{"TCMallocInternalMalloc", MARK_TCMALLOC},
	{"mi_malloc", MARK_MIMALLOC},
	{"rpmalloc", MARK_RPMALLOC},
	{"__asan_init", MARK_ASAN},
	{"runtime.mallocgc", MARK_GO},
};

#define SEEN_NOT ": its heap is not seen; CPU only"
#define BESIDE                                                                                     \
	" beside malloc: what it allocates with that is not seen; "                                \
	"CPU profiles are complete"

static const char *const texts[MARK_N] = {
	[MARK_GO] = "has Go's run-time built in: Go's heap is not seen, CPU profiles are complete",
	[MARK_ASAN] = "has AddressSanitizer built in" SEEN_NOT,
	[MARK_JEMALLOC] = "has jemalloc built in" SEEN_NOT,
	[MARK_TCMALLOC] = "has tcmalloc built in" SEEN_NOT,
	[MARK_MIMALLOC] = "has mimalloc built in" SEEN_NOT,
	[MARK_RPMALLOC] = "has rpmalloc built in" SEEN_NOT,
	[MARK_MALLOC] = "has a malloc of its own built in" SEEN_NOT,
};
/* Under other names than malloc: what else it allocates is seen. */
static const char *const beside[MARK_N] = {
	[MARK_JEMALLOC] = "has jemalloc built in" BESIDE,
	[MARK_TCMALLOC] = "has tcmalloc built in" BESIDE,
	[MARK_MIMALLOC] = "has mimalloc built in" BESIDE,
	[MARK_RPMALLOC] = "has rpmalloc built in" BESIDE,
};

static unsigned mark_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (*name == *names[i].name && strcmp(name, names[i].name) == 0)
			return 1u << names[i].mark;
	return 0;
}

/* @strings ends with a zero of ours. */
static unsigned mark_symbols(const Elf64_Sym *symbols, size_t n, const char *strings,
			     size_t strings_bytes)
{
	unsigned marks = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned type = ELF64_ST_TYPE(symbols[i].st_info);

		if (symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_name < strings_bytes &&
		    (type == STT_FUNC || type == STT_GNU_IFUNC))
			marks |= mark_of(strings + symbols[i].st_name);
	}
	return marks;
}

static int read_marks(int fd, const Elf64_Shdr *table, const Elf64_Shdr *names_of,
		      size_t *budget_bytes, unsigned *marks)
{
	_cleanup_free_ Elf64_Sym *symbols = NULL;
	_cleanup_free_ char *strings = NULL;
	size_t n = table->sh_size / sizeof(*symbols), portion;
	int r;

	if (table->sh_entsize != sizeof(*symbols))
		return -EBADMSG;
	if (table->sh_size > *budget_bytes || names_of->sh_size > *budget_bytes - table->sh_size)
		return -EFBIG;
	*budget_bytes -= table->sh_size + names_of->sh_size;
	strings = calloc(1, names_of->sh_size + 1);
	symbols = calloc(PORTION_SYMBOLS, sizeof(*symbols));
	if (!strings || !symbols)
		return -ENOMEM;
	r = elf_read_at(fd, names_of->sh_offset, strings, names_of->sh_size);
	for (size_t at = 0; r == 0 && at < n; at += portion) {
		portion = min(n - at, (size_t)PORTION_SYMBOLS);
		r = elf_read_at(fd, table->sh_offset + at * sizeof(*symbols), symbols,
				portion * sizeof(*symbols));
		if (r == 0)
			*marks |= mark_symbols(symbols, portion, strings, names_of->sh_size);
	}
	return r;
}

static int read_sections(int fd, struct elf_sections *ret_sections)
{
	Elf64_Ehdr header;
	int r = elf_read_header(fd, &header);

	return r < 0 ? r : elf_read_sections(fd, &header, MAX_SECTIONS, 0, ret_sections);
}

static const char *choose_text(unsigned marks)
{
	for (unsigned i = 0; i < MARK_N; i++)
		if (marks & 1u << i)
			return beside[i] && !(marks & 1u << MARK_MALLOC) ? beside[i] : texts[i];
	return NULL;
}

int allocator_find(int fd, size_t *budget_bytes, const char **ret)
{
	_cleanup_(elf_sections_done) struct elf_sections sections = {};
	unsigned marks = 0;
	int r = read_sections(fd, &sections);

	for (size_t i = 0; r == 0 && i < sections.n; i++) {
		const Elf64_Shdr *s = &sections.headers[i];

		if (s->sh_type != SHT_DYNSYM && s->sh_type != SHT_SYMTAB)
			continue;
		r = s->sh_link < sections.n
			    ? read_marks(fd, s, &sections.headers[s->sh_link], budget_bytes, &marks)
			    : -EBADMSG;
	}
	if (marks == 0 && r < 0)
		return r;
	*ret = choose_text(marks);
	return 0;
}

/* ---- files that were looked at */

struct file {
	dev_t dev;
	ino_t inode;
	off_t bytes;
	struct timespec changed;
	const char *text;
};

struct allocators {
	struct file files[N_REMEMBERED];
	unsigned next;
	size_t budget_bytes;
	uint64_t unexamined;
};

int allocators_new(struct allocators **ret_allocators)
{
	struct allocators *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	*ret_allocators = a;
	return 0;
}

void allocators_free(struct allocators *allocators)
{
	free(allocators);
}

void allocators_begin(struct allocators *allocators)
{
	allocators->budget_bytes = PROFD_MAX_SYMBOL_BYTES_ROUND;
}

uint64_t allocators_unexamined(const struct allocators *allocators)
{
	return allocators->unexamined;
}

static const char *look_into(struct allocators *a, int fd)
{
	size_t budget = min(a->budget_bytes, (size_t)PROFD_MAX_SYMBOL_BYTES), left = budget;
	const char *text = NULL;

	if (allocator_find(fd, &left, &text) == -EFBIG)
		a->unexamined++;
	a->budget_bytes -= budget - left;
	return text;
}

const char *allocators_find(struct allocators *a, struct keeper *keeper, pid_t pid)
{
	_cleanup_close_ int fd = keeper_open_program(keeper, pid);
	struct file *f = &a->files[a->next];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	for (size_t i = 0; i < N_REMEMBERED; i++) {
		const struct file *known = &a->files[i];

		if (known->inode == st.st_ino && known->dev == st.st_dev &&
		    known->bytes == st.st_size && known->changed.tv_sec == st.st_ctim.tv_sec &&
		    known->changed.tv_nsec == st.st_ctim.tv_nsec)
			return known->text;
	}
	*f = (struct file){
		.dev = st.st_dev,
		.inode = st.st_ino,
		.bytes = st.st_size,
		.changed = st.st_ctim,
		.text = look_into(a, fd),
	};
	a->next = (a->next + 1) % N_REMEMBERED;
	return f->text;
}
