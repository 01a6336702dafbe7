#include "client/profctl/dropin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"
#include "proto/publish.h"

#define FIRST_LINE "# Written by \"profctl enable\"; \"profctl disable\" takes it away."
#define MADE_LINE  "# So was its directory."
#define SUFFIX	   ".d"
#define MAX_BYTES  (64 * 1024)

/* In Environment="..": C's escapes, and % begins a specifier. */
static int quote(FILE *stream, const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return -EINVAL;
		if (*text == '"' || *text == '\\')
			fputc('\\', stream);
		if (*text == '%')
			fputc('%', stream);
		fputc(*text, stream);
	}
	return 0;
}

/* The text of a drop-in. -EINVAL: @preload has a byte that such a file cannot say. */
static int format(const char *unit, const char *preload, bool made_directory, char **ret_text)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *stream;
	int r;

	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, FIRST_LINE "\n%s# Unit: %s\n\n[Service]\nEnvironment=\"LD_PRELOAD=",
		made_directory ? MADE_LINE "\n" : "", unit);
	r = quote(stream, preload);
	fputs("\"\n", stream);
	if (fclose(stream) != 0)
		return -ENOMEM;
	if (r == 0)
		*ret_text = take_ptr(text);
	return r;
}

static int dir_name(const char *unit, char **ret_name)
{
	if (asprintf(ret_name, "%s" SUFFIX, unit) < 0)
		return -ENOMEM;
	return 0;
}

static int open_base(void)
{
	int fd = open(DROPIN_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_dir(int base, const char *name)
{
	int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The drop-in in @dir. Returns an enum dropin_kind, or -errno. */
static int look_in(int dir, bool *ret_made)
{
	_cleanup_close_ int fd = -1;
	static const char first[] = FIRST_LINE "\n";
	char text[256];
	struct stat st;
	ssize_t n;

	fd = openat(dir, DROPIN_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return DROPIN_NONE;
	if (fd < 0)
		return errno == ELOOP ? DROPIN_FOREIGN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_BYTES)
		return DROPIN_FOREIGN;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (strncmp(text, first, strlen(first)) != 0)
		return DROPIN_FOREIGN;
	*ret_made = strncmp(text + strlen(first), MADE_LINE "\n", strlen(MADE_LINE) + 1) == 0;
	return DROPIN_OURS;
}

/* Opens the directory of @unit's drop-ins. -ENOENT: there is none. */
static int open_unit(int base, const char *unit, char **ret_name)
{
	int r = dir_name(unit, ret_name);

	return r < 0 ? r : open_dir(base, *ret_name);
}

int dropin_look(const char *unit)
{
	_cleanup_close_ int base = open_base(), dir = -1;
	_cleanup_free_ char *name = NULL;
	bool made;

	if (base < 0)
		return base;
	dir = open_unit(base, unit, &name);
	if (dir == -ENOENT)
		return DROPIN_NONE;
	return dir < 0 ? dir : look_in(dir, &made);
}

static int write_in(int dir, const char *text)
{
	_cleanup_close_ int fd = publish_open(dir, 0644);
	size_t n = strlen(text);
	ssize_t written;

	if (fd < 0)
		return fd;
	written = write(fd, text, n);
	if (written < 0)
		return -errno;
	return (size_t)written == n ? publish_link(dir, fd, DROPIN_NAME) : -ENOSPC;
}

int dropin_write(const char *unit, const char *preload)
{
	_cleanup_close_ int base = open_base(), dir = -1;
	_cleanup_free_ char *name = NULL, *text = NULL;
	bool made = false;
	int r;

	if (base < 0)
		return base;
	r = dir_name(unit, &name);
	if (r < 0)
		return r;
	if (mkdirat(base, name, 0755) == 0)
		made = true;
	else if (errno != EEXIST)
		return -errno;
	dir = open_dir(base, name);
	r = dir < 0 ? dir : 0;
	if (r == 0 && made && fchmod(dir, 0755) < 0)
		r = -errno;
	if (r == 0)
		r = format(unit, preload, made, &text);
	if (r == 0)
		r = write_in(dir, text);
	if (r < 0 && made)
		(void)unlinkat(base, name, AT_REMOVEDIR);
	return r;
}

int dropin_remove(const char *unit)
{
	_cleanup_close_ int base = open_base(), dir = -1;
	_cleanup_free_ char *name = NULL;
	bool made = false;
	int r;

	if (base < 0)
		return base;
	dir = open_unit(base, unit, &name);
	if (dir < 0)
		return dir;
	r = look_in(dir, &made);
	if (r < 0)
		return r;
	if (r != DROPIN_OURS)
		return r == DROPIN_NONE ? -ENOENT : -EPERM;
	if (unlinkat(dir, DROPIN_NAME, 0) < 0)
		return -errno;
	/* Somebody else may have put a file beside it: then it stays. */
	if (made && unlinkat(base, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	return 0;
}

static int add_unit(struct dropin_list *list, const char *name, size_t n)
{
	char **units = reallocarray(list->units, list->n + 1, sizeof(*units));

	if (!units)
		return -ENOMEM;
	list->units = units;
	list->units[list->n] = strndup(name, n);
	if (!list->units[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the unit of @name, an entry of the base directory, if it has a drop-in of ours. */
static int scan_entry(struct dropin_list *list, int base, const char *name)
{
	_cleanup_close_ int dir = -1;
	size_t n = strlen(name);
	bool made;

	if (n <= strlen(SUFFIX) || strcmp(name + n - strlen(SUFFIX), SUFFIX) != 0)
		return 0;
	dir = open_dir(base, name);
	if (dir < 0 || look_in(dir, &made) != DROPIN_OURS)
		return 0;
	return add_unit(list, name, n - strlen(SUFFIX));
}

int dropin_scan(struct dropin_list *ret_list)
{
	_cleanup_(dropin_list_done) struct dropin_list list = {};
	struct dirent *entry;
	int base = open_base(), r = 0;
	DIR *dir;

	if (base < 0)
		return base == -ENOENT ? 0 : base;
	dir = fdopendir(base);
	if (!dir) {
		close(base);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)))
		r = scan_entry(&list, base, entry->d_name);
	closedir(dir);
	if (r < 0)
		return r;
	if (list.n > 1)
		qsort(list.units, list.n, sizeof(*list.units), compare);
	*ret_list = list;
	list = (struct dropin_list){};
	return 0;
}

void dropin_list_done(struct dropin_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->units[i]);
	free(list->units);
	*list = (struct dropin_list){};
}
