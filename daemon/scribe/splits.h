/*
 * The split units of one program, put together as they are needed, and the files that
 * they are in, which somebody else opens.
 */
#pragma once

#include <elfutils/libdw.h>
#include <libelf.h>

#include "daemon/scribe/split.h"

#include <stdbool.h>

struct splits;

struct splits_opener {
	/* Opens the file of a split unit, @name, an absolute path as far as that is known, or
	 * with "" the package of them all. A descriptor or -errno. NULL: nobody does. */
	int (*open)(const char *name, void *userdata);
	void *userdata;
};

/* @elf: where the skeletons are; it must outlive the splits. Returns 0 or -ENOMEM. */
int splits_new(Elf *elf, const struct splits_opener *opener, struct splits **ret_splits);
void splits_free(struct splits *splits);

/* The unit of which @root is the skeleton; NULL: it is none, or the unit is not to be
 * had. It lives as long as the splits. */
struct split *splits_find(struct splits *splits, Dwarf_Die *root);

/* Whether a unit was not had for want of something (transient.h). */
bool splits_lack(const struct splits *splits);

/* Files so far that were none of split units, or held other units. */
unsigned splits_refused(const struct splits *splits);
void splits_release_pages(const struct splits *splits);
