/*
 * Any bytes as an ELF file with debug information: opened, and asked about
 * addresses that its own headers name, so that a mutation meets the tables that
 * it changed; and searched for an allocator, as the daemon does. What libelf and
 * libdw make of it is part of what is tried here; in the daemon they run in a
 * process that may die.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/proc/allocator.h"
#include "daemon/scribe/image.h"

#define N_ADDRESSES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct image *image, uint64_t vaddr)
{
	struct symbol symbol = {};

	if (image_find(image, vaddr, true, &symbol) == 0) {
		if (symbol.n == 0 || symbol.n > SYMBOL_MAX_LINES)
			abort();
		for (size_t i = 0; i < symbol.n; i++)
			if (!symbol.lines[i].name || !symbol.lines[i].system_name ||
			    !symbol.lines[i].file || symbol.lines[i].line < 0)
				abort();
	}
	symbol_done(&symbol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	size_t budget = 1 << 20;
	struct image *image;
	const char *text;
	uint64_t vaddr;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) == (ssize_t)size && image_open(fd, &image) == 0) {
		/* As if it were its own debug file, and dwz's. */
		image_set_debug(image, &(struct image_debug){.debug_fd = fd, .alt_fd = fd});
		for (size_t i = 0; i < N_ADDRESSES; i++)
			if (image_offset_to_vaddr(image, i * size / N_ADDRESSES, &vaddr))
				ask(image, vaddr);
		image_close(image);
	}
	(void)allocator_find(fd, &budget, &text);
	close(fd);
	return 0;
}
