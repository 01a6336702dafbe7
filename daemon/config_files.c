#include "daemon/config_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

#define MAX_DROP_INS 256 /* what is beyond is complained about */

/* A later one's files mask those of an earlier. */
static const char *const drop_in_dirs[] = {
	"/usr/lib/profd.conf.d",
	"/run/profd.conf.d",
	"/etc/profd.conf.d",
};

struct drop_in {
	char *name, *path;
};

struct drop_ins {
	struct drop_in files[MAX_DROP_INS];
	size_t n;
	bool full;
};

static void drop_ins_done(struct drop_ins *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->files[i].name);
		free(d->files[i].path);
	}
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0;
}

static struct drop_in *find(struct drop_ins *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	return NULL;
}

static int add(struct drop_ins *d, const char *dir, const char *name)
{
	struct drop_in *file = find(d, name);
	char *path;

	if (!file && d->n == MAX_DROP_INS) {
		d->full = true;
		return 0;
	}
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	if (file) {
		free(file->path);
		file->path = path;
		return 0;
	}
	d->files[d->n] = (struct drop_in){.name = strdup(name), .path = path};
	if (!d->files[d->n].name) {
		free(path);
		return -ENOMEM;
	}
	d->n++;
	return 0;
}

static void complain(config_complaint_t complaint, void *userdata, const char *path,
		     const char *why)
{
	char text[PROFD_MAX_PATH + 128];

	snprintf(text, sizeof(text), "%s: %s", path, why);
	complaint(text, userdata);
}

static int collect(struct drop_ins *d, const char *dir, config_complaint_t complaint,
		   void *userdata)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!stream) {
		if (errno != ENOENT)
			complain(complaint, userdata, dir, strerror(errno));
		return 0;
	}
	while (r == 0 && (entry = readdir(stream)))
		if (is_conf(entry->d_name))
			r = add(d, dir, entry->d_name);
	closedir(stream);
	if (d->full)
		complain(complaint, userdata, dir, "too many files");
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

static int read_drop_ins(struct config *c, struct drop_ins *d, config_complaint_t complaint,
			 void *userdata)
{
	qsort(d->files, d->n, sizeof(d->files[0]), by_name);
	for (size_t i = 0; i < d->n; i++) {
		int r = config_read(c, d->files[i].path, complaint, userdata);

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			complain(complaint, userdata, d->files[i].path, strerror(-r));
	}
	return 0;
}

static int collect_below(struct drop_ins *d, const char *before, const char *after,
			 config_complaint_t complaint, void *userdata)
{
	_cleanup_free_ char *dir = NULL;

	if (asprintf(&dir, "%s%s", before, after) < 0)
		return -ENOMEM;
	return collect(d, dir, complaint, userdata);
}

/* Those that everybody has: the main file need not be there. */
static int load_standard(struct config *c, const char *root, struct drop_ins *d,
			 config_complaint_t complaint, void *userdata)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s" CONFIG_FILE, root) < 0)
		return -ENOMEM;
	r = config_read(c, path, complaint, userdata);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -ENOENT)
		complain(complaint, userdata, path, strerror(-r));
	r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(drop_in_dirs); i++)
		r = collect_below(d, root, drop_in_dirs[i], complaint, userdata);
	return r;
}

int config_load(struct config *c, const char *root, config_complaint_t complaint, void *userdata)
{
	_cleanup_(drop_ins_done) struct drop_ins d = {.n = 0};
	int r;

	if (!c->file) {
		r = load_standard(c, root, &d, complaint, userdata);
	} else {
		r = config_read(c, c->file, complaint, userdata);
		if (r == 0)
			r = collect_below(&d, c->file, ".d", complaint, userdata);
	}
	return r < 0 ? r : read_drop_ins(c, &d, complaint, userdata);
}

struct first {
	char *why;
	size_t size;
	bool any;
};

static void keep_first(const char *text, void *userdata)
{
	struct first *first = userdata;

	if (!first->any)
		snprintf(first->why, first->size, "%s", text);
	first->any = true;
}

int config_reload(const struct config *old, const char *root, struct config *ret_config, char *why,
		  size_t why_size)
{
	struct first first = {.why = why, .size = why_size};
	struct config c;
	int r = 0;

	config_init(&c);
	c.private = old->private;
	if (old->file) {
		c.file = strdup(old->file);
		r = c.file ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = config_load(&c, root, keep_first, &first);
	if (r == 0 && first.any)
		r = -EBADMSG;
	else if (r < 0 && !first.any)
		snprintf(why, why_size, "%s: %s", old->file ?: CONFIG_FILE, strerror(-r));
	if (r == 0 && (r = config_copy_overrides(&c, old)) < 0)
		snprintf(why, why_size, "out of memory");
	if (r < 0) {
		config_done(&c);
		return r;
	}
	*ret_config = c;
	return 0;
}
