/*
 * The package is asked for once, with the first skeleton, and each other file with the
 * skeleton that names it. Files stay mapped as long as the program is: the sections of
 * what was put together are theirs.
 */
#include "daemon/scribe/splits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "daemon/scribe/transient.h"

struct found {
	struct split_file *file; /* NULL: the package */
	struct split *split;
};

struct splits {
	Elf *elf;
	struct splits_opener opener;
	bool package_tried;
	struct split_file *package; /* NULL: none */
	struct found *found;
	size_t n_found, n_asked;
	unsigned refused;
	bool lacks;
};

int splits_new(Elf *elf, const struct splits_opener *opener, struct splits **ret_splits)
{
	struct splits *splits = calloc(1, sizeof(*splits));

	if (!splits)
		return -ENOMEM;
	splits->elf = elf;
	splits->opener = *opener;
	*ret_splits = splits;
	return 0;
}

void splits_free(struct splits *splits)
{
	if (!splits)
		return;
	for (size_t i = 0; i < splits->n_found; i++) {
		split_free(splits->found[i].split);
		split_file_close(splits->found[i].file);
	}
	split_file_close(splits->package);
	free(splits->found);
	free(splits);
}

/* What failed is either of the file, or of the moment. */
static void count_failure(struct splits *splits, int r)
{
	if (is_transient(r))
		splits->lacks = true;
	else
		splits->refused++;
}

/* NULL: it is not to be had. */
static struct split_file *open_file(struct splits *splits, const char *name)
{
	struct split_file *file;
	int fd = splits->opener.open(name, splits->opener.userdata), r;

	if (fd < 0) {
		splits->lacks |= is_transient(fd);
		return NULL;
	}
	r = split_file_open(fd, &file);
	if (r == 0)
		return file;
	count_failure(splits, r);
	return NULL;
}

static struct split_file *open_named(struct splits *splits, const struct split_skeleton *skeleton)
{
	char path[PROFD_MAX_PATH];
	int n;

	if (skeleton->name[0] == '/' || !skeleton->directory)
		n = snprintf(path, sizeof(path), "%s", skeleton->name);
	else
		n = snprintf(path, sizeof(path), "%s/%s", skeleton->directory, skeleton->name);
	return n > 0 && (size_t)n < sizeof(path) ? open_file(splits, path) : NULL;
}

/* Takes both over. NULL: out of memory. */
static struct split *keep(struct splits *splits, struct split_file *file, struct split *split)
{
	struct found *grown =
		reallocarray(splits->found, splits->n_found + 1, sizeof(*splits->found));

	if (!grown) {
		splits->lacks = true;
		split_free(split);
		split_file_close(file);
		return NULL;
	}
	splits->found = grown;
	splits->found[splits->n_found++] = (struct found){file, split};
	return split;
}

static struct split *find_in_package(struct splits *splits, const struct split_skeleton *skeleton)
{
	struct split *split;
	int r;

	if (!splits->package_tried)
		splits->package = open_file(splits, "");
	splits->package_tried = true;
	if (!splits->package)
		return NULL;
	r = split_new(splits->package, skeleton, &split);
	if (r == -EBADMSG || is_transient(r))
		count_failure(splits, r);
	return r < 0 ? NULL : keep(splits, NULL, split);
}

struct split *splits_find(struct splits *splits, Dwarf_Die *root)
{
	struct split_skeleton skeleton;
	struct split_file *file;
	struct split *split;
	int r;

	if (!splits->opener.open || splits->n_asked >= PROFD_MAX_SPLIT_FILES ||
	    !split_read_skeleton(root, splits->elf, &skeleton))
		return NULL;
	splits->n_asked++;
	split = find_in_package(splits, &skeleton);
	if (split)
		return split;
	file = open_named(splits, &skeleton);
	if (!file)
		return NULL;
	r = split_new(file, &skeleton, &split);
	if (r == 0)
		return keep(splits, file, split);
	count_failure(splits, r);
	split_file_close(file);
	return NULL;
}

bool splits_lack(const struct splits *splits)
{
	return splits->lacks;
}

unsigned splits_refused(const struct splits *splits)
{
	return splits->refused;
}

void splits_release_pages(const struct splits *splits)
{
	for (size_t i = 0; i < splits->n_found; i++)
		if (splits->found[i].file)
			split_file_release_pages(splits->found[i].file);
	if (splits->package)
		split_file_release_pages(splits->package);
}
