/*
 * Names of addresses, for readers of `debug=1` texts. profd names what is in a
 * profile and nothing else, so an address is looked for in the heap profile of
 * the process, as it is or as a return address one behind the call.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "client/http/endpoint.h"
#include "client/http/profile.h"
#include "profd/base.h"
#include "profd/limits.h"

/* As Go's ParseUint with base 0, of the words that tools send. 0: it is none. */
static uint64_t parse_address(const char *word, size_t n)
{
	char text[24], *end = NULL;
	uint64_t value;

	if (n == 0 || n >= sizeof(text) || word[0] == '-' || word[0] == '+')
		return 0;
	memcpy(text, word, n);
	text[n] = '\0';
	errno = 0;
	value = strtoull(text, &end, 0);
	return *end || errno ? 0 : value;
}

/* The outermost function of the call at @address: that of the code. */
static const char *find_name(const struct pprof *p, uint64_t address)
{
	for (uint64_t id = 1; id <= pprof_n_locations(p); id++) {
		struct pprof_location l;
		struct pprof_line line;

		pprof_location(p, id, &l);
		if ((l.address != address && l.address + 1 != address) || l.n_lines == 0)
			continue;
		pprof_location_line(p, id, l.n_lines - 1, &line);
		return line.name;
	}
	return NULL;
}

static void put_all(FILE *to, const struct pprof *p, const char *words)
{
	unsigned n = 0;

	while (*words && n++ < PROFD_HTTP_MAX_SYMBOLS) {
		size_t length = strcspn(words, "+");
		uint64_t address = parse_address(words, length);
		const char *name = p && address ? find_name(p, address) : NULL;

		if (name)
			fprintf(to, "%#" PRIx64 " %s\n", address, name);
		words += length;
		if (*words)
			words++;
	}
}

void endpoint_symbol(const struct endpoint *e, struct reply *ret)
{
	const char *words = e->post ? e->body : e->path->query;
	struct reply no_profile = REPLY_INIT;
	struct pprof *p = NULL;
	char *text = NULL;
	FILE *stream;
	size_t n = 0;
	int fd = -1;

	/* The question whether there are any symbols needs no profile. */
	if (*words)
		fd = endpoint_heap(e, &e->path->scope, &no_profile);
	if (fd >= 0) {
		(void)profile_read(fd, &p);
		close(fd);
	}
	stream = open_memstream(&text, &n);
	if (stream) {
		fputs("num_symbols: 1\n", stream);
		put_all(stream, p, words);
	}
	reply_stream(ret, REPLY_TEXT, stream, &text, &n);
	reply_done(&no_profile);
	pprof_free(p);
}
