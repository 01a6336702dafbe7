/*
 * The texts of /proc/PID that a process has a hand in: maps, stat, status,
 * cgroup, smaps, syscall. The first byte chooses.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/proc/identity.h"
#include "daemon/proc/maps.h"
#include "daemon/proc/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_entry(const struct maps_entry *e, void *userdata)
{
	if (e->end <= e->start || !e->path)
		abort();
	*(size_t *)userdata += strlen(e->path);
	return 0;
}

static void parse_maps(const char *text, size_t size)
{
	int fd = memfd_create("maps", MFD_CLOEXEC);
	uint64_t malformed = 0;
	size_t path_bytes = 0;

	if (fd < 0)
		return;
	if (write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0)
		(void)maps_read(fd, on_entry, &path_bytes, &malformed);
	if (path_bytes > size)
		abort();
	close(fd);
}

static void parse_smaps(const char *text, size_t size)
{
	static const uint64_t pointers[] = {0x1000, 0x7f0000000000};
	int fd = memfd_create("smaps", MFD_CLOEXEC);
	struct process_memory m;

	if (fd < 0)
		return;
	if (write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0 &&
	    memory_read_smaps(fd, pointers, 2, &m) == 0 && m.threads != 2)
		abort();
	close(fd);
}

static void parse_stat(const char *text)
{
	struct identity_stat st;

	if (identity_parse_stat(text, &st) == 0 &&
	    strnlen(st.comm, sizeof(st.comm)) == sizeof(st.comm))
		abort();
}

static void parse_unit(const char *text)
{
	char unit[100];

	if (identity_parse_unit(text, unit, sizeof(unit)) == 0 && strlen(unit) >= sizeof(unit))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process_memory memory;
	uint64_t pages;
	uid_t uid;
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size); /* the choosing byte makes room for the end */
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 8) {
	case 0:
		parse_maps(text, size - 1);
		break;
	case 1:
		parse_stat(text);
		break;
	case 2:
		parse_unit(text);
		break;
	case 3:
		(void)identity_parse_uid(text, &uid);
		break;
	case 4:
		(void)identity_parse_statm(text, &pages);
		break;
	case 5:
		(void)identity_parse_rollup(text, &memory);
		break;
	case 6:
		parse_smaps(text, size - 1);
		break;
	case 7:
		(void)memory_parse_stack_pointer(text, &pages);
		break;
	}
	free(text);
	return 0;
}
