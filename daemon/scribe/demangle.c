/*
 * libiberty's demanglers hand their output to a callback piece by piece, and
 * have no way to be told "enough". A name can refer back to its own parts, so
 * its readable form may be exponentially longer than itself; waiting for the
 * end is no option. The callback therefore leaves by longjmp() once the bound
 * is reached. That is sound because these two entry points keep their state on
 * the stack (the parts of a C++ name are counted first and put into arrays of
 * automatic storage); a Rust identifier in punycode may leave a few bytes
 * behind. Depth is bounded by libiberty itself, as long as DMGL_NO_RECURSE_LIMIT
 * is not given.
 *
 * Rust comes first: its older names are valid C++ names with a hash at the end.
 */
#include "daemon/scribe/demangle.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

struct output {
	jmp_buf full;
	size_t n;
	char text[DEMANGLE_MAX_OUTPUT + 1];
};

static void append(const char *piece, size_t n, void *userdata)
{
	struct output *out = userdata;
	size_t room = DEMANGLE_MAX_OUTPUT - out->n;
	size_t part = n < room ? n : room;

	memcpy(out->text + out->n, piece, part);
	out->n += part;
	if (part < n)
		longjmp(out->full, 1);
}

static bool demangle_into(const char *mangled, struct output *out)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;

	out->n = 0;
	if (setjmp(out->full) != 0)
		return true; /* cut, but readable as far as it goes */
	if (rust_demangle_callback(mangled, options, append, out))
		return true;
	out->n = 0;
	return cplus_demangle_v3_callback(mangled, options, append, out);
}

char *demangle_name(const char *mangled)
{
	struct output *out;
	char *name = NULL;

	/* Every name that either demangler knows begins with an underscore, and
	 * most names of C do not. */
	if (mangled[0] != '_' || strnlen(mangled, DEMANGLE_MAX_INPUT + 1) > DEMANGLE_MAX_INPUT)
		return NULL;
	out = malloc(sizeof(*out));
	if (!out)
		return NULL;
	if (demangle_into(mangled, out) && out->n > 0)
		name = strndup(out->text, out->n);
	free(out);
	return name;
}
