#include "client/profctl/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profd/base.h"

/* Erases the line on which the cursor stands. */
#define ERASE_LINE "\r\033[K"

/* A C1 control character in UTF-8 (C2 80 .. C2 9F): some terminals obey it. */
static bool is_c1(const char *p)
{
	return (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] >= 0x80 &&
	       (unsigned char)p[1] <= 0x9f;
}

static void clean(char *text)
{
	for (char *p = text; *p != '\0'; p++) {
		if (is_c1(p)) {
			p[0] = p[1] = '?';
			p++;
		} else if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			*p = '?';
		}
	}
}

static void print_line(FILE *stream, const char *prefix, const char *format, va_list args)
{
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return;
	}
	clean(text);
	fprintf(stream, "%s%s\n", prefix, text);
	fflush(stream);
}

void output_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stderr, "profctl: ", format, args);
	va_end(args);
}

void output_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(stdout, "", format, args);
	va_end(args);
}

bool output_has_progress(void)
{
	return isatty(STDERR_FILENO) == 1;
}

void output_progress(const char *format, ...)
{
	va_list args;

	if (!output_has_progress())
		return;
	va_start(args, format);
	fputs(ERASE_LINE, stderr);
	vfprintf(stderr, format, args);
	fflush(stderr);
	va_end(args);
}

int output_json(json_t *value, bool pretty)
{
	_cleanup_free_ char *text = NULL;

	if (value)
		text = json_dumps(value, (pretty ? JSON_INDENT(2) : JSON_COMPACT));
	json_decref(value);
	if (!text) {
		output_error("JSON: out of memory");
		return -ENOMEM;
	}
	puts(text);
	fflush(stdout);
	return 0;
}

json_t *output_json_string(const char *text)
{
	_cleanup_free_ char *copy = NULL;
	json_t *value;

	value = json_string(text);
	if (value)
		return value;
	/* Not UTF-8: keep what is ASCII. */
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

bool output_broken(void)
{
	return ferror(stdout) != 0;
}

/* A pipe without a reader; an earlier write met it, and its errno is gone. */
static bool reader_has_left(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

int output_finish(void)
{
	int r = 0;

	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout))
		r = errno != 0 ? -errno : reader_has_left() ? -EPIPE : -EIO;
	/* Whoever reads `profctl top | head` has what they wanted. */
	if (r < 0 && r != -EPIPE)
		output_error("standard output: %s", strerror(-r));
	return r;
}
