/*
 * What labels take; the loops differ in the one thing that is to be told, so that the
 * difference of two loops, or of two lengths of one, is its price. Prints nanoseconds of CPU time a
 *turn.
 *
 *	labels none N	nothing
 *	labels scope N	PROFD_LABEL() around nothing, the same label each time
 *	labels inner N	the same within another label
 *	labels turns N	one of 1,000 values each time
 *	labels set N	one's labels taken away, and given back
 *	labels get N	asked for them
 *	labels alloc N	a malloc() and a free() of 64 bytes, without a label
 *	labels with N	the same within four labels
 */
#include <profd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VALUES 1000

static char values[VALUES][16];
static volatile unsigned seen;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void nothing(void)
{
	__asm__ volatile("" ::: "memory");
}

static void scopes(long n)
{
	for (long i = 0; i < n; i++) {
		PROFD_LABEL("handler", "/search");
		nothing();
	}
}

static void inner_scopes(long n)
{
	PROFD_LABEL("tenant", "first");
	scopes(n);
}

static void turns(long n)
{
	for (long i = 0; i < n; i++) {
		PROFD_LABEL("handler", values[i % VALUES]);
		nothing();
	}
}

static void sets(long n)
{
	PROFD_LABEL("handler", "/search");
	unsigned labels = profd_labels_get();

	for (long i = 0; i < n; i++) {
		(void)profd_labels_set(0);
		(void)profd_labels_set(labels);
	}
}

static void gets(long n)
{
	PROFD_LABEL("handler", "/search");
	for (long i = 0; i < n; i++)
		seen = profd_labels_get();
}

static void allocations(long n)
{
	for (long i = 0; i < n; i++) {
		void *volatile p = malloc(64);

		free(p);
	}
}

static void allocations_with(long n)
{
	PROFD_LABEL("handler", "/search");
	PROFD_LABEL("tenant", "first");
	PROFD_LABEL("shard", "12");
	PROFD_LABEL("kind", "read");
	allocations(n);
}

static void none(long n)
{
	for (long i = 0; i < n; i++)
		nothing();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*loop)(long n);
	} loops[] = {
		{"none", none},		 {"scope", scopes},
		{"inner", inner_scopes}, {"turns", turns},
		{"set", sets},		 {"get", gets},
		{"alloc", allocations},	 {"with", allocations_with},
	};

	for (unsigned i = 0; i < VALUES; i++)
		snprintf(values[i], sizeof(values[i]), "/route/%u", i);
	for (size_t i = 0; argc == 3 && i < sizeof(loops) / sizeof(loops[0]); i++)
		if (strcmp(argv[1], loops[i].name) == 0) {
			long n = atol(argv[2]);
			double start = now_ns();

			loops[i].loop(n);
			printf("%.2f\n", (now_ns() - start) / (double)n);
			return 0;
		}
	return 2;
}
