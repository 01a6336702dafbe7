/*
 * Decoding other people's bytes: read, inflate, unpack with protobuf-c, convert.
 *
 * What a file can make us spend is bounded on the way: the bytes read, the
 * bytes they inflate to, and the memory that unpacking may take, in proportion
 * to those bytes (an empty message is two bytes in a file and eighty in memory).
 */
#include "proto/pprof.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/gzip.h"
#include "proto/pprof_table.h"
#include "proto/profile.pb-c.h"

#define READ_BYTES (256 * 1024)

/* Measured: messages of 100,000 samples with 30 frames each take 6 bytes of
 * memory a byte of file; samples of nothing but labels, 13; and while they are
 * made, a little more. */
#define UNPACK_FACTOR	   32
#define UNPACK_LEAST_BYTES (1024 * 1024)

/* ---- bounded memory: each block carries its size in front */

struct budget {
	size_t left;
	bool exceeded;
};

#define BLOCK_HEADER_BYTES 16 /* keeps malloc's alignment */

static void *budget_alloc(void *data, size_t n)
{
	struct budget *budget = data;
	char *block;

	if (n > SIZE_MAX - BLOCK_HEADER_BYTES || n + BLOCK_HEADER_BYTES > budget->left) {
		budget->exceeded = true;
		return NULL;
	}
	block = malloc(n + BLOCK_HEADER_BYTES);
	if (!block)
		return NULL;
	n += BLOCK_HEADER_BYTES;
	memcpy(block, &n, sizeof(n));
	budget->left -= n;
	return block + BLOCK_HEADER_BYTES;
}

static void budget_free(void *data, void *pointer)
{
	struct budget *budget = data;
	size_t n;

	if (!pointer)
		return;
	memcpy(&n, (char *)pointer - BLOCK_HEADER_BYTES, sizeof(n));
	budget->left += n;
	free((char *)pointer - BLOCK_HEADER_BYTES);
}

static int decode_plain(const uint8_t *bytes, size_t n, struct pprof **ret_p)
{
	struct budget budget = {.left = UNPACK_LEAST_BYTES};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	Perftools__Profiles__Profile *message;
	struct pprof *p;
	int r;

	if (n > (SIZE_MAX - UNPACK_LEAST_BYTES) / UNPACK_FACTOR)
		return -EFBIG;
	budget.left += n * UNPACK_FACTOR;
	message = perftools__profiles__profile__unpack(&allocator, n, bytes);
	if (!message)
		return budget.exceeded ? -EFBIG : -EBADMSG;
	p = pprof_new();
	r = p ? pprof_convert(message, p) : -ENOMEM;
	perftools__profiles__profile__free_unpacked(message, &allocator);
	if (r < 0) {
		pprof_free(p);
		return r;
	}
	*ret_p = p;
	return 0;
}

int pprof_decode(const uint8_t *bytes, size_t n, size_t limit_bytes, struct pprof **ret_p)
{
	_cleanup_free_ uint8_t *plain = NULL;
	size_t n_plain;
	int r;

	if (n > limit_bytes)
		return -EFBIG;
	if (n < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b)
		return decode_plain(bytes, n, ret_p);
	r = gzip_inflate(bytes, n, limit_bytes, &plain, &n_plain);
	return r < 0 ? r : decode_plain(plain, n_plain, ret_p);
}

static int read_all(int fd, size_t limit_bytes, uint8_t **ret_bytes, size_t *ret_n)
{
	ARRAY_TABLE(uint8_t) file = {0};
	ssize_t k;
	int r;

	do {
		r = array_grow(&file, READ_BYTES);
		if (r < 0)
			break;
		k = read(fd, file.items + file.n, READ_BYTES);
		if (k > 0)
			file.n += (size_t)k;
		else if (k < 0 && errno != EINTR)
			r = -errno;
		if (file.n > limit_bytes)
			r = -EFBIG;
	} while (r == 0 && k != 0);
	if (r < 0) {
		free(file.items);
		return r;
	}
	*ret_bytes = file.items;
	*ret_n = file.n;
	return 0;
}

int pprof_read(int fd, size_t limit_bytes, struct pprof **ret_p)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n;
	int r = read_all(fd, limit_bytes, &bytes, &n);

	return r < 0 ? r : pprof_decode(bytes, n, limit_bytes, ret_p);
}
