/*
 * Whether a browser was tricked into asking. A page of anyone's can make a
 * visitor's browser send requests to 127.0.0.1, and, with a name that it lets
 * point there (DNS rebinding), read the answers. Such requests have a Host that
 * is a name not ours, or say that they come from elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct guard {
	const char *const *hosts; /* names that are ours beside localhost */
	size_t n_hosts;
};

/* @host: the header's value; NULL: there is none. An address is always ours, for no
 * name stands behind it. */
bool guard_allows_host(const struct guard *guard, const char *host);

/* The headers Sec-Fetch-Site and Origin; NULL: not there. */
bool guard_allows_origin(const char *site, const char *origin, const char *host);
