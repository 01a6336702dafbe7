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

/* ---- bounded memory: messages are many and small, and all go at once */

struct chunk {
	struct chunk *next;
	_Alignas(16) char bytes[];
};

struct arena {
	struct chunk *chunks;
	size_t used, room; /* of the newest chunk */
	size_t left;	   /* of the budget */
	bool exceeded;
};

#define CHUNK_BYTES	(256 * 1024)
#define ALIGNMENT_BYTES 16 /* malloc's */

static void *arena_alloc(void *data, size_t n)
{
	struct arena *arena = data;
	struct chunk *chunk;
	void *block;

	if (n > arena->left || arena->left - n < ALIGNMENT_BYTES) {
		arena->exceeded = true;
		return NULL;
	}
	n = (n + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
	if (arena->room - arena->used < n) {
		chunk = malloc(sizeof(*chunk) + max(n, (size_t)CHUNK_BYTES));
		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
		arena->room = max(n, (size_t)CHUNK_BYTES);
	}
	block = arena->chunks->bytes + arena->used;
	arena->used += n;
	arena->left -= n;
	return block;
}

static void arena_keep(void *data, void *pointer)
{
}

static void arena_done(struct arena *arena)
{
	struct chunk *chunk, *next;

	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
}

static int decode_plain(const uint8_t *bytes, size_t n, struct pprof **ret_p)
{
	_cleanup_(arena_done) struct arena arena = {.left = UNPACK_LEAST_BYTES};
	ProtobufCAllocator allocator = {arena_alloc, arena_keep, &arena};
	Perftools__Profiles__Profile *message;
	struct pprof *p;
	int r;

	if (n > (SIZE_MAX - UNPACK_LEAST_BYTES) / UNPACK_FACTOR)
		return -EFBIG;
	arena.left += n * UNPACK_FACTOR;
	message = perftools__profiles__profile__unpack(&allocator, n, bytes);
	if (!message)
		return arena.exceeded ? -EFBIG : -EBADMSG;
	p = pprof_new();
	r = p ? pprof_convert(message, p) : -ENOMEM;
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
