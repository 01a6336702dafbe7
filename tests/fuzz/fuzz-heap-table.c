/* A heap table whose every byte is the attacker's. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profd/heap_table.h"
#include "proto/heap_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* So that the fuzzer gets past the first look. */
static void mend(int fd, size_t size)
{
	struct heap_header h;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		return;
	h.magic = HEAP_TABLE_MAGIC;
	h.version = HEAP_TABLE_VERSION;
	h.header_bytes = sizeof(h);
	h.table_bytes = size;
	(void)!pwrite(fd, &h, sizeof(h), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct heap_age ages[HEAP_AGES_MAX];
	struct heap_copy *copy;
	uint32_t set;
	size_t n;

	if (fd < 0)
		return 0;
	if (write(fd, data, size) == (ssize_t)size) {
		mend(fd, size);
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
		(void)!heap_table_set_at(fd, 1, 1000000, &set);
		if (heap_table_copy(fd, &copy) == 0) {
			(void)!heap_table_ages(fd, copy, 1000000, ages, HEAP_AGES_MAX, &n);
			heap_copy_free(copy);
		}
	}
	close(fd);
	return 0;
}
