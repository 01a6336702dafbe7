#include "client/http/reply.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"

void reply_done(struct reply *reply)
{
	free(reply->text);
	if (reply->fd >= 0)
		close(reply->fd);
	*reply = (struct reply)REPLY_INIT;
}

static void set_text(struct reply *ret, unsigned status, const char *type, char *text)
{
	*ret = (struct reply){
		.status = status, .type = type, .text = text, .n_text = strlen(text), .fd = -1};
}

void reply_error(struct reply *ret, unsigned status, const char *format, ...)
{
	char text[1024], *line = NULL;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	*ret = (struct reply){.status = status, .type = REPLY_TEXT, .go_pprof = true, .fd = -1};
	ret->text = line;
	ret->n_text = line ? strlen(line) : 0;
}

void reply_plain_error(struct reply *ret, unsigned status, const char *text)
{
	reply_error(ret, status, "%s", text);
	ret->go_pprof = false;
}

void reply_redirect(struct reply *ret, const char *location)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	FILE *stream = open_memstream(&text, &n);

	if (stream) {
		fputs("<a href=\"", stream);
		html_put(stream, location);
		fputs("\">Moved Permanently</a>.\n\n", stream);
	}
	if (!stream || fclose(stream) != 0) {
		reply_plain_error(ret, 500, "out of memory");
		return;
	}
	set_text(ret, 301, "text/html; charset=utf-8", take_ptr(text));
	ret->location = location;
	ret->sniff = true;
}

void reply_profile(struct reply *ret, int fd, const char *filename)
{
	*ret = (struct reply){
		.status = 200, .type = "application/octet-stream", .filename = filename, .fd = fd};
}

void reply_stream(struct reply *ret, const char *type, FILE *stream, char **text, size_t *n)
{
	bool failed = !stream || ferror(stream);

	if (stream && fclose(stream) != 0)
		failed = true;
	if (failed) {
		free(take_ptr(*text));
		reply_plain_error(ret, 500, "out of memory");
		return;
	}
	*ret = (struct reply){.status = 200, .type = type, .text = take_ptr(*text), .fd = -1};
	ret->n_text = *n;
}

void html_put(FILE *to, const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		switch (c) {
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '&':
			fputs("&amp;", to);
			break;
		case '"':
			fputs("&#34;", to);
			break;
		case '\'':
			fputs("&#39;", to);
			break;
		default:
			fputc(c < 0x20 || c == 0x7f ? '?' : c, to);
		}
	}
}

void url_put(FILE *to, const char *text)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-._~@:", c))
			fputc(c, to);
		else
			fprintf(to, "%%%02X", c);
	}
}
