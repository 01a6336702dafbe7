/*
 * A heap of a known shape.
 *
 *	stacks OBJECTS STACKS DEPTH
 *
 * Allocates OBJECTS live objects of 48..111 bytes on STACKS different stacks, each
 * of DEPTH frames between main() and malloc(), prints "ready" and sleeps until its standard
 * input closes. With PROFD_RATE=1 every object is a sample.
 *
 * A path is the number of its stack in eight digits of base 4, over and over: a
 * digit picks one of the four functions that a function may call next. There are
 * 256 functions, so that a profile has a thousand return addresses, as that of a
 * real program does.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEPTH_MIN  9 /* eight digits, and the last calls malloc() */
#define DEPTH_MAX  512
#define STACKS_MAX 65536

typedef void *frame_fn(unsigned path, unsigned depth, size_t bytes);

/* Function i calls function 4 * (i % 64) + digit: from each to any other it takes
 * four steps. */
static frame_fn *const functions[256];

#define CALL(i, digit)                                                                             \
	case digit:                                                                                \
		p = functions[(i) % 64 * 4 + (digit)](path >> 2 | (path & 3) << 14, depth - 1,     \
						      bytes);                                      \
		break;

#define FUNCTION(i)                                                                                \
	__attribute__((noinline)) static void *frame_##i(unsigned path, unsigned depth,            \
							 size_t bytes)                             \
	{                                                                                          \
		void *p = NULL;                                                                    \
                                                                                                   \
		if (depth == 0)                                                                    \
			return malloc(bytes);                                                      \
		switch (path & 3) {                                                                \
			CALL(0x##i, 0)                                                             \
			CALL(0x##i, 1)                                                             \
			CALL(0x##i, 2)                                                             \
			CALL(0x##i, 3)                                                             \
		}                                                                                  \
		/* Not the last thing, so that the frame stays; its own, so that the compiler      \
		 * does not make one function of all. */                                           \
		__asm__ volatile("" : "+r"(p) : "i"(0x##i));                                       \
		return p;                                                                          \
	}

#define EACH_4(M, h, a, b, c, d) M(h##a) M(h##b) M(h##c) M(h##d)
#define EACH_16(M, h)                                                                              \
	EACH_4(M, h, 0, 1, 2, 3)                                                                   \
	EACH_4(M, h, 4, 5, 6, 7) EACH_4(M, h, 8, 9, a, b) EACH_4(M, h, c, d, e, f)
#define EACH_64(M, a, b, c, d) EACH_16(M, a) EACH_16(M, b) EACH_16(M, c) EACH_16(M, d)
#define EACH_256(M)                                                                                \
	EACH_64(M, 0, 1, 2, 3) EACH_64(M, 4, 5, 6, 7) EACH_64(M, 8, 9, a, b) EACH_64(M, c, d, e, f)

EACH_256(FUNCTION)

#define ENTRY(i) [0x##i] = frame_##i,

static frame_fn *const functions[256] = {EACH_256(ENTRY)};

int main(int argc, char **argv)
{
	long objects = argc > 1 ? atol(argv[1]) : 10000, stacks = argc > 2 ? atol(argv[2]) : 2000;
	long depth = argc > 3 ? atol(argv[3]) : 30;
	void **live;
	char byte;

	if (objects < 1 || stacks < 1 || stacks > STACKS_MAX || depth < DEPTH_MIN ||
	    depth > DEPTH_MAX)
		return 2;
	live = calloc((size_t)objects, sizeof(*live));
	if (!live)
		return 1;
	for (long i = 0; i < objects; i++) {
		live[i] = functions[0]((unsigned)(i % stacks), (unsigned)depth - 1,
				       48 + (size_t)i / (size_t)stacks % 64);
		if (!live[i])
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (long i = 0; i < objects; i++)
		free(live[i]);
	free(live);
	return 0;
}
