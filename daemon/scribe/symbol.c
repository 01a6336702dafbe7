#include "daemon/scribe/symbol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/scribe/demangle.h"

/* The readable name, or NULL when @raw is that already. A linker may have
 * written the symbol's version into the name: malloc@@GLIBC_2.2.5. */
static char *make_readable(const char *raw)
{
	_cleanup_free_ char *bare = NULL;
	const char *version = strchr(raw, '@');
	char *name;

	if (!version || version == raw)
		return demangle_name(raw);
	bare = strndup(raw, (size_t)(version - raw));
	if (!bare)
		return NULL;
	name = demangle_name(bare);
	return name ? name : take_ptr(bare);
}

int symbol_push(struct symbol *symbol, const char *raw, const char *file, int64_t line,
		int64_t start_line)
{
	char *name;

	if (symbol->n == SYMBOL_MAX_LINES)
		return -ENOSPC;
	name = make_readable(raw);
	symbol->names[symbol->n] = name;
	symbol->lines[symbol->n] = (struct pprof_line){
		.name = name ? name : raw,
		.system_name = raw,
		.file = file ? file : "",
		.line = line,
		.start_line = start_line,
	};
	symbol->n++;
	return 0;
}

int symbol_push_plain(struct symbol *symbol, const char *name)
{
	if (symbol->n == SYMBOL_MAX_LINES)
		return -ENOSPC;
	symbol->names[symbol->n] = NULL;
	symbol->lines[symbol->n] = (struct pprof_line){
		.name = name,
		.system_name = name,
		.file = "",
	};
	symbol->n++;
	return 0;
}

void symbol_done(struct symbol *symbol)
{
	for (size_t i = 0; i < symbol->n; i++)
		free(symbol->names[i]);
	symbol->n = 0;
}
