/*
 * A line is  START-END PERM OFFSET MAJOR:MINOR INODE  PATH  with the first
 * fields written by the kernel and the path chosen by the target. The kernel
 * writes a newline in a path as \012, so a line is always one mapping; a path
 * is everything after the padding, spaces and all.
 */
#include "daemon/proc/maps.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"

#define MAPS_MAX_BYTES	  (64u << 20)
/* A path has up to 4096 bytes, each of which may be escaped as four. */
#define MAPS_BUFFER_BYTES (32u << 10)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* A number of @base, followed by @end. */
static bool take_number(char **at, unsigned base, char end, uint64_t *ret_value)
{
	uint64_t value = 0;
	char *p = *at;
	int digit;

	while ((digit = hex_digit(*p)) >= 0 && (unsigned)digit < base) {
		if (value > (UINT64_MAX - (unsigned)digit) / base)
			return false;
		value = value * base + (unsigned)digit;
		p++;
	}
	if (p == *at || *p != end)
		return false;
	*ret_value = value;
	*at = p + 1;
	return true;
}

static void unescape_newlines(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

int maps_parse_line(char *line, struct maps_entry *ret_entry)
{
	struct maps_entry e = {0};
	uint64_t major, minor;
	char *p = line;

	if (!take_number(&p, 16, '-', &e.start) || !take_number(&p, 16, ' ', &e.end))
		return -EBADMSG;
	if (e.end <= e.start || strnlen(p, 5) < 5 || p[4] != ' ')
		return -EBADMSG;
	e.executable = p[2] == 'x';
	p += 5;
	if (!take_number(&p, 16, ' ', &e.file_offset) || !take_number(&p, 16, ':', &major) ||
	    !take_number(&p, 16, ' ', &minor) || major > UINT32_MAX || minor > UINT32_MAX)
		return -EBADMSG;
	e.major = (uint32_t)major;
	e.minor = (uint32_t)minor;
	/* Only an anonymous mapping's line may end with the inode. */
	if (!take_number(&p, 10, ' ', &e.inode)) {
		if (!take_number(&p, 10, '\0', &e.inode))
			return -EBADMSG;
		p--;
	}
	while (*p == ' ')
		p++;
	unescape_newlines(p);
	e.path = p;
	*ret_entry = e;
	return 0;
}

struct line_reader {
	int fd;
	size_t n, bytes; /* in the buffer; read in all */
	bool skipping;	 /* in a line that did not fit */
	char buffer[MAPS_BUFFER_BYTES];
};

static int handle_line(struct line_reader *r, char *line, maps_each_t each, void *userdata,
		       uint64_t *malformed)
{
	struct maps_entry e;

	if (r->skipping) {
		r->skipping = false;
		return 0;
	}
	if (maps_parse_line(line, &e) < 0) {
		(*malformed)++;
		return 0;
	}
	return each(&e, userdata);
}

/* Handles the whole lines in the buffer and keeps what comes after them. */
static int handle_lines(struct line_reader *r, maps_each_t each, void *userdata,
			uint64_t *malformed)
{
	size_t done = 0;
	char *newline;
	int rc;

	while ((newline = memchr(r->buffer + done, '\n', r->n - done))) {
		*newline = '\0';
		rc = handle_line(r, r->buffer + done, each, userdata, malformed);
		if (rc != 0)
			return rc;
		done = (size_t)(newline - r->buffer) + 1;
	}
	memmove(r->buffer, r->buffer + done, r->n - done);
	r->n -= done;
	if (r->n == sizeof(r->buffer)) {
		*malformed += !r->skipping;
		r->skipping = true;
		r->n = 0;
	}
	return 0;
}

int maps_read(int fd, maps_each_t each, void *userdata, uint64_t *ret_malformed)
{
	_cleanup_free_ struct line_reader *r = calloc(1, sizeof(*r));
	uint64_t malformed = 0;
	int rc = 0;

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	while (rc == 0) {
		ssize_t n = read(r->fd, r->buffer + r->n, sizeof(r->buffer) - r->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? -errno : 0;
			break;
		}
		r->n += (size_t)n;
		r->bytes += (size_t)n;
		rc = r->bytes > MAPS_MAX_BYTES ? -EFBIG
					       : handle_lines(r, each, userdata, &malformed);
	}
	if (r->n > 0 && rc == 0)
		malformed++; /* the last line had no end */
	if (ret_malformed)
		*ret_malformed += malformed;
	return rc;
}
