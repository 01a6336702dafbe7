/*
 * The program that a service executes, as far as its file tells whether the dynamic
 * linker will preload a library of ours into it. A script's interpreter counts.
 *
 * Only the first page is read: a linker puts the program headers there.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "client/profctl/obstacles.h"
#include "profd/base.h"

#define HEAD_BYTES 4096

struct head {
	char bytes[HEAD_BYTES + 1];
	size_t n;
	struct stat st;
	bool has_capabilities;
};

static int read_head(const char *path, struct head *ret_head)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || fstat(fd, &ret_head->st) < 0)
		return -errno;
	if (!S_ISREG(ret_head->st.st_mode))
		return -EINVAL;
	n = pread(fd, ret_head->bytes, HEAD_BYTES, 0);
	if (n < 0)
		return -errno;
	ret_head->bytes[n] = '\0';
	ret_head->n = (size_t)n;
	ret_head->has_capabilities = fgetxattr(fd, "security.capability", NULL, 0) > 0;
	return 0;
}

static bool is_elf(const struct head *head)
{
	return head->n >= sizeof(Elf64_Ehdr) && memcmp(head->bytes, ELFMAG, SELFMAG) == 0;
}

static bool same_machine(const struct head *a, const struct head *b)
{
	Elf64_Ehdr x, y;

	memcpy(&x, a->bytes, sizeof(x));
	memcpy(&y, b->bytes, sizeof(y));
	return x.e_ident[EI_CLASS] == y.e_ident[EI_CLASS] && x.e_machine == y.e_machine;
}

/* Of an ELF file of our own class. */
static bool is_static(const struct head *head)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;

	memcpy(&ehdr, head->bytes, sizeof(ehdr));
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_phentsize != sizeof(phdr))
		return false;
	for (size_t i = 0; i < ehdr.e_phnum; i++) {
		if (ehdr.e_phoff > head->n || head->n - ehdr.e_phoff < (i + 1) * sizeof(phdr))
			return false; /* not all is there to see */
		memcpy(&phdr, head->bytes + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
		if (phdr.p_type == PT_INTERP)
			return false;
	}
	return true;
}

/* The interpreter of a script, in place. NULL: it is none. */
static char *script_interpreter(struct head *head)
{
	char *at = head->bytes;

	if (strncmp(at, "#!", 2) != 0)
		return NULL;
	at += 2 + strspn(at + 2, " \t");
	at[strcspn(at, " \t\n")] = '\0';
	return at[0] == '/' ? at : NULL;
}

const char *executable_refuses(const char *path, const char *library, bool changes_user)
{
	struct head program = {}, other = {}, client = {};
	struct head *head = &program;
	const char *interpreter;

	if (read_head(path, &program) < 0)
		return NULL; /* perhaps it is there when the service starts */
	interpreter = script_interpreter(&program);
	if (interpreter) {
		if (read_head(interpreter, &other) < 0)
			return NULL;
		head = &other;
	}
	if (changes_user && ((head->st.st_mode & (S_ISUID | S_ISGID)) || head->has_capabilities))
		return "is setuid or has file capabilities: the dynamic linker ignores "
		       "LD_PRELOAD for it";
	if (!is_elf(head) || read_head(library, &client) < 0 || !is_elf(&client))
		return NULL;
	if (!same_machine(head, &client))
		return "is built for another architecture than the client";
	if (is_static(head))
		return "is linked statically: nothing can be preloaded";
	return NULL;
}
