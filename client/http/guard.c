#include "client/http/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "profd/base.h"

#define HOST_MAX 256

/* The name or address without the port and brackets. False: it is malformed. */
static bool strip(const char *host, char *ret, size_t size)
{
	const char *end;
	size_t n;

	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
	} else {
		end = host + strcspn(host, ":");
	}
	n = (size_t)(end - host);
	if (n == 0 || n >= size)
		return false;
	memcpy(ret, host, n);
	ret[n] = '\0';
	end += *end == ']';
	return *end == '\0' || strspn(end + 1, "0123456789") == strlen(end + 1);
}

static bool is_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

bool guard_allows_host(const struct guard *guard, const char *host)
{
	char name[HOST_MAX];

	/* HTTP/1.0 has none, and no browser speaks that. */
	if (!host)
		return true;
	if (!strip(host, name, sizeof(name)))
		return false;
	if (is_address(name) || strcasecmp(name, "localhost") == 0)
		return true;
	for (size_t i = 0; i < guard->n_hosts; i++)
		if (strcasecmp(name, guard->hosts[i]) == 0)
			return true;
	return false;
}

bool guard_allows_origin(const char *site, const char *origin, const char *host)
{
	const char *after;

	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return false;
	if (!origin)
		return true;
	after = strstr(origin, "://");
	return after && host && strcasecmp(after + 3, host) == 0;
}
