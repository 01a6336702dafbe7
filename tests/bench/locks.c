/*
 * What a pair of lock and unlock takes by the clock, in nanoseconds:
 *
 *	locks free THREADS MILLIONS	each thread a mutex of its own, which is never held
 *	locks shared THREADS MILLIONS	one for all: held for some 100 ns, as long again not
 *	locks single 1 MILLIONS		a free one, in a program that never has threads
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t shared = PTHREAD_MUTEX_INITIALIZER;
static uint64_t pairs;
static volatile uint64_t counted;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *lock_free(void *unused)
{
	pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;

	for (uint64_t i = 0; i < pairs; i++) {
		pthread_mutex_lock(&own);
		__asm__ volatile("" ::: "memory");
		pthread_mutex_unlock(&own);
	}
	return NULL;
}

static void *lock_shared(void *unused)
{
	for (uint64_t i = 0; i < pairs; i++) {
		pthread_mutex_lock(&shared);
		for (unsigned j = 0; j < 50; j++)
			counted++;
		pthread_mutex_unlock(&shared);
		for (volatile unsigned j = 0; j < 50; j++)
			;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned threads = argc > 3 ? (unsigned)atoi(argv[2]) : 0;
	pthread_t ids[64];
	double start;

	if (threads < 1 || threads > 64)
		return 2;
	pairs = (uint64_t)(atof(argv[3]) * 1e6);
	start = now_ns();
	if (strcmp(argv[1], "single") == 0) {
		lock_free(NULL);
	} else {
		for (unsigned i = 0; i < threads; i++)
			pthread_create(&ids[i], NULL,
				       strcmp(argv[1], "shared") == 0 ? lock_shared : lock_free,
				       NULL);
		for (unsigned i = 0; i < threads; i++)
			pthread_join(ids[i], NULL);
	}
	printf("%.3f\n", (now_ns() - start) / (double)pairs);
	return 0;
}
