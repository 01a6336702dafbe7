/*
 * What an allocation costs: pairs of malloc and free, in nanoseconds a pair.
 *
 *	pairs THREADS MILLIONS [BYTES]
 *
 * Each thread keeps a window of 64 live objects and replaces them in turn, sizes
 * around BYTES (64): the ordinary life of a small object. Prints the figure of the
 * slowest thread.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW 64

static long pairs;
static size_t object_bytes = 64;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *run(void *ret_ns)
{
	void *volatile window[WINDOW] = {0};
	double start = now_ns();

	for (long i = 0; i < pairs; i++) {
		free(window[i % WINDOW]);
		window[i % WINDOW] = malloc(object_bytes / 2 + (size_t)(i * 7919) % object_bytes);
	}
	*(double *)ret_ns = (now_ns() - start) / (double)pairs;
	for (int i = 0; i < WINDOW; i++)
		free(window[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	double ns[64], worst = 0;
	pthread_t threads[64];

	pairs = (argc > 2 ? atol(argv[2]) : 10) * 1000000;
	if (argc > 3)
		object_bytes = strtoul(argv[3], NULL, 10);
	if (n < 1 || n > 64 || pairs < 1 || object_bytes < 2)
		return 2;
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, &ns[i]))
			return 1;
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		worst = ns[i] > worst ? ns[i] : worst;
	}
	printf("%.2f\n", worst);
	return 0;
}
