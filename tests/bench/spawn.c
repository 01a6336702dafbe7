/*
 * What a process costs from its start to its end, in microseconds.
 *
 *	spawn RUNS LIBRARY PROGRAM [ARGUMENT...]
 *	spawn RUNS fork
 *
 * The first starts the program bare and under the library in turns, and prints
 * the two medians. The second forks itself, the child ends at once, and prints
 * the median.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUNS 100000

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The environment, and @setting beside it, or without it. */
static char **environment(char *setting)
{
	char **copy;
	size_t n = 0;

	while (environ[n])
		n++;
	copy = calloc(n + 2, sizeof(*copy));
	if (!copy)
		exit(1);
	memcpy(copy, environ, n * sizeof(*copy));
	copy[n] = setting;
	return copy;
}

static double spawn_us(char **argv, char **env)
{
	double start = now_us();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, env) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		exit(1);
	return now_us() - start;
}

static double fork_us(void)
{
	double start = now_us();
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		exit(1);
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *figures, long n)
{
	qsort(figures, (size_t)n, sizeof(*figures), compare);
	return figures[n / 2];
}

int main(int argc, char **argv)
{
	static double bare[MAX_RUNS], with[MAX_RUNS];
	long n = argc > 2 ? atol(argv[1]) : 0;
	char setting[4096], **bare_env, **with_env;

	if (n < 1 || n > MAX_RUNS)
		return 2;
	if (strcmp(argv[2], "fork") == 0) {
		for (long i = 0; i < n; i++)
			bare[i] = fork_us();
		printf("%.0f\n", median(bare, n));
		return 0;
	}
	if (argc < 4)
		return 2;
	snprintf(setting, sizeof(setting), "LD_PRELOAD=%s", argv[2]);
	bare_env = environment(NULL);
	with_env = environment(setting);
	for (long i = 0; i < n; i++) {
		bare[i] = spawn_us(argv + 3, bare_env);
		with[i] = spawn_us(argv + 3, with_env);
	}
	printf("%.0f %.0f\n", median(bare, n), median(with, n));
	free(bare_env);
	free(with_env);
	return 0;
}
