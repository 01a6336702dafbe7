/*
 * What the engine itself reads of a file that a target mapped, to find its debug files.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/proc/elf_links.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_links links = {};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	if (write(fd, data, size) == (ssize_t)size && elf_read_links(fd, &links) == 0)
		if (links.build_id_bytes > MODULE_BUILD_ID_MAX ||
		    links.alt_build_id_bytes > MODULE_BUILD_ID_MAX ||
		    strnlen(links.link, sizeof(links.link)) == sizeof(links.link) ||
		    strnlen(links.alt, sizeof(links.alt)) == sizeof(links.alt))
			abort();
	close(fd);
	return 0;
}
