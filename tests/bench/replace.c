/*
 * What replacing a live object costs, in nanoseconds.
 *
 *	replace THREADS MILLIONS small|mixed
 *
 * Each thread makes MILLIONS of replacements in random slots of its own 4096.
 * "small" is 16..143 bytes, uniform; "mixed" 16 bytes to 80 KiB, the logarithm of
 * the size a power of a uniform number, chosen so that the mean is about 1.7 KB.
 * Prints the figure of the slowest thread.
 */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS	    4096
#define SIZES	    4096
#define MAX_THREADS 64

static long replacements;
static size_t sizes[SIZES];
static double ns[MAX_THREADS]; /* a thread's place in it is its seed, too: all runs are alike */

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void choose_sizes(int mixed)
{
	for (int i = 0; i < SIZES; i++) {
		double u = (i + 0.5) / SIZES;

		sizes[i] = mixed ? (size_t)(16 * exp(log(5120) * pow(u, 6.4)))
				 : 16 + (size_t)(u * 128);
	}
}

static void *run(void *ret_ns)
{
	void **slots = calloc(SLOTS, sizeof(*slots));
	uint64_t x = 0x9e3779b97f4a7c15ULL * (uint64_t)((double *)ret_ns - ns + 1);
	double start = now_ns();

	if (!slots)
		exit(1);
	for (long i = 0; i < replacements; i++) {
		char *p;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		free(slots[x % SLOTS]);
		p = malloc(sizes[x >> 20 & (SIZES - 1)]);
		if (!p)
			exit(1);
		*p = 1;
		slots[x % SLOTS] = p;
	}
	*(double *)ret_ns = (now_ns() - start) / (double)replacements;
	for (int i = 0; i < SLOTS; i++)
		free(slots[i]);
	free(slots);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	double worst = 0;
	pthread_t threads[MAX_THREADS];

	replacements = argc > 2 ? (long)(atof(argv[2]) * 1e6) : 20000000;
	if (n < 1 || n > MAX_THREADS || replacements < 1)
		return 2;
	choose_sizes(argc > 3 && strcmp(argv[3], "mixed") == 0);
	if (n == 1) { /* no thread: the C library has short cuts then */
		run(&ns[0]);
		worst = ns[0];
	}
	for (int i = 0; n > 1 && i < n; i++)
		if (pthread_create(&threads[i], NULL, run, &ns[i]))
			return 1;
	for (int i = 0; n > 1 && i < n; i++) {
		pthread_join(threads[i], NULL);
		worst = ns[i] > worst ? ns[i] : worst;
	}
	printf("%.2f\n", worst);
	return 0;
}
