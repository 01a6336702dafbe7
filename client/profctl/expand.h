/*
 * Output names: %p is a process id, %h this machine's name, %t the moment
 * (20261121T031244.123Z), %% a percent sign.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct expand {
	pid_t pid;
	const char *host;
	int64_t unix_ns;
};

/* Returns 0 and a malloc'd string; -EINVAL: there is a % that means nothing;
 * -ENAMETOOLONG; -ENOMEM. */
int expand_name(const char *name, const struct expand *values, char **ret_name);

/* Whether @name has a %@letter that would be replaced. */
bool expand_has(const char *name, char letter);
