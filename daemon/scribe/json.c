#include "daemon/scribe/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/utf8.h"

void json_put(struct gzip_writer *w, const char *text)
{
	gzip_writer_add(w, text, strlen(text));
}

void json_putf(struct gzip_writer *w, const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof(text));
	gzip_writer_add(w, text, (size_t)n);
}

/* Control characters, DEL among them, are never shown as they are. */
static size_t plain_bytes(const uint8_t *s)
{
	if (*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7f)
		return 0;
	return utf8_char_bytes(s);
}

static void put_special(struct gzip_writer *w, uint8_t c)
{
	if (c == '"' || c == '\\')
		json_putf(w, "\\%c", c);
	else if (c < 0x80)
		json_putf(w, "\\u%04x", c);
	else
		json_put(w, "\xef\xbf\xbd");
}

void json_put_string(struct gzip_writer *w, const char *string)
{
	const uint8_t *s = (const uint8_t *)string, *from = s;

	json_put(w, "\"");
	while (*s) {
		size_t n = plain_bytes(s);

		if (n > 0) {
			s += n;
			continue;
		}
		gzip_writer_add(w, from, (size_t)(s - from));
		put_special(w, *s);
		from = ++s;
	}
	gzip_writer_add(w, from, (size_t)(s - from));
	json_put(w, "\"");
}
