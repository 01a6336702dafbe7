/*
 * The header of another process's heap table: is it one, what does it say, and
 * raising a request in it. All by pread() and pwrite(): a page that the client
 * has punched out reads as zeros, and a table that is being scribbled over is
 * merely wrong. The futex needs an address, so the first page is mapped for
 * the wake-up call alone; the kernel answers EFAULT where we would get SIGBUS.
 */
#include "proto/heap_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "profd/base.h"

#ifndef F_GET_SEALS
#define F_GET_SEALS   1034
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW   0x0004
#endif

static int read_header(int fd, struct heap_header *ret)
{
	ssize_t n = pread(fd, ret, sizeof(*ret), 0);

	if (n < 0)
		return -errno;
	ret->reply.allocator[sizeof(ret->reply.allocator) - 1] = '\0';
	return n == sizeof(*ret) ? 0 : -EBADMSG;
}

int heap_table_check(int fd, struct heap_header *ret_header)
{
	struct heap_header h;
	struct stat st;
	int seals, r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)HEAP_TABLE_MAX_BYTES)
		return -EBADMSG;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return -EBADMSG;
	if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPERM;
	r = read_header(fd, &h);
	if (r < 0)
		return r;
	if (h.magic != HEAP_TABLE_MAGIC)
		return -EBADMSG;
	if (h.version == HEAP_TABLE_VERSION &&
	    (h.header_bytes != sizeof(h) || h.table_bytes != (uint64_t)st.st_size))
		return -EBADMSG;
	*ret_header = h;
	return h.version == HEAP_TABLE_VERSION ? 0 : -EPROTONOSUPPORT;
}

int heap_table_header(int fd, struct heap_header *ret_header)
{
	struct heap_header h;
	int r = read_header(fd, &h);

	if (r < 0)
		return r;
	if (h.magic != HEAP_TABLE_MAGIC || h.version != HEAP_TABLE_VERSION)
		return -EBADMSG;
	*ret_header = h;
	return 0;
}

static int write_at(int fd, size_t offset, const void *bytes, size_t n)
{
	ssize_t k = pwrite(fd, bytes, n, (off_t)offset);

	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : -EIO;
}

int heap_table_ask_waits(int fd, const struct heap_waits *waits)
{
	const size_t at = offsetof(struct heap_header, waits);
	const size_t rest = offsetof(struct heap_waits, block_rate_ns);
	int r = 0;

	if (waits->on)
		r = write_at(fd, at + rest, (char *)waits + rest, sizeof(*waits) - rest);
	return r < 0 ? r : write_at(fd, at, &waits->on, sizeof(waits->on));
}

static void wake(int fd)
{
	const size_t offset = offsetof(struct heap_header, request.seq);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return;
	syscall(SYS_futex, map + offset, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	munmap(map, page);
}

int heap_table_request(int fd, const struct heap_header *header, enum heap_verb verb,
		       uint64_t budget_bytes, uint32_t *ret_seq)
{
	const size_t at = offsetof(struct heap_header, request);
	struct heap_request request = {.verb = verb, .budget_bytes = budget_bytes};
	int r;

	request.seq = header->request.seq + 1;
	if (request.seq == header->reply.seq) /* an answer that is already there is not ours */
		request.seq++;
	r = write_at(fd, at + sizeof(request.seq), (char *)&request + sizeof(request.seq),
		     sizeof(request) - sizeof(request.seq));
	if (r < 0)
		return r;
	r = write_at(fd, at, &request.seq, sizeof(request.seq));
	if (r < 0)
		return r;
	wake(fd);
	*ret_seq = request.seq;
	return 0;
}
