/*
 * Split units. With -gsplit-dwarf a compiler leaves in the program a skeleton of each
 * unit, with its lines and addresses, and puts the rest, functions and inlines among
 * it, in a file of its own (.dwo), many of which may be put into a package (.dwp).
 *
 * libdw joins the two if it may open that file by its path, which nobody may here. So
 * the unit is put together in memory as if it had never been split (split.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdw.h>
#include <libelf.h>

struct split_file; /* .dwo or .dwp */
struct split;	   /* a unit */

struct split_skeleton {
	uint64_t id;
	const char *name;	    /* of its file, as the compiler was told it */
	const char *directory;	    /* in which the compiler ran; NULL: not known */
	uint64_t base;		    /* what its ranges count from */
	Elf_Data addresses, ranges; /* the unit's part of those sections */
};

/* False: it is no skeleton. What is filled in lives as long as the Elf. */
bool split_read_skeleton(Dwarf_Die *root, Elf *elf, struct split_skeleton *ret_skeleton);

/* Takes @fd over. Returns 0; -EBADMSG: not such a file; -EFBIG: it would inflate to more
 * than PROFD_MAX_UNPACKED_BYTES; -ENOMEM. */
int split_file_open(int fd, struct split_file **ret_file);
void split_file_close(struct split_file *file);
void split_file_release_pages(const struct split_file *file);

/* The unit of @skeleton out of @file; the file and the skeleton's Elf have to outlive it.
 * Returns 0; -ENOENT: it is not in there; -EBADMSG; -ENOMEM. */
int split_new(const struct split_file *file, const struct split_skeleton *skeleton,
	      struct split **ret_split);
void split_free(struct split *split);

Dwarf *split_dwarf(const struct split *split);
Dwarf_Die split_root(const struct split *split);
/* What its numbers of files mean; false: the same as the skeleton's. */
bool split_files(const struct split *split, Dwarf_Files **ret_files, size_t *ret_n);
