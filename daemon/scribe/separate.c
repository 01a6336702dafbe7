/*
 * Candidates in the order of how sure they are: by build-id first, then by the name
 * that the file itself gives; our own directories before those of the target's root.
 * The right one shows the build-id of the module. Only a module that has none takes
 * a file by its name alone, and then the scribe compares the checksum.
 *
 * The target's root is the one through which the module's file was had. A process
 * that offers a false debug file there could have offered a false program just as
 * well, so that whom a profile trusts does not change.
 *
 * A file of split units is known by their ids, which the scribe compares.
 *
 * Nothing is kept: a debug file is wanted once in a scribe's life.
 */
#include "daemon/scribe/separate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/proc/elf_links.h"
#include "profd/base.h"
#include "profd/limits.h"

#define MAX_DIRS (PROFD_MAX_DEBUG_DIRS + 2) /* those that were added, and the standard ones */

struct search {
	struct keeper *keeper;
	struct separate_counts *counts;
	struct keeper_debug wanted;
	struct stat self;	/* of the module's file: it may call itself its debug file */
	struct elf_links links; /* of the candidate at hand */
};

static bool has_build_id(const struct elf_links *links, const uint8_t *id, size_t bytes)
{
	return links->build_id_bytes == bytes && memcmp(links->build_id, id, bytes) == 0;
}

/* 0: opened, and its links read. */
static int try_candidate(struct search *s, int *ret_fd)
{
	_cleanup_close_ int fd = keeper_open_debug(s->keeper, &s->wanted);
	const struct keeper_debug *wanted = &s->wanted;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || (st.st_dev == s->self.st_dev && st.st_ino == s->self.st_ino))
		return -ENOENT;
	if (elf_read_links(fd, &s->links) < 0)
		return -EBADMSG;
	if (wanted->build_id_bytes > 0 &&
	    !has_build_id(&s->links, wanted->build_id, wanted->build_id_bytes))
		return -ESTALE;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* One place, in each of its directories. A keeper that has gone knows of none, and does
 * not say which is the last. */
static bool try_place(struct search *s, enum keeper_debug_place place, const char *name,
		      int *ret_fd)
{
	bool once = place == KEEPER_DEBUG_BESIDE || place == KEEPER_DEBUG_BESIDE_HIDDEN ||
		    place == KEEPER_DEBUG_SPLIT;
	int r = 0;

	s->wanted.place = place;
	s->wanted.name = name;
	/* -ERANGE is the end; whatever a keeper may answer instead, there is another one */
	for (s->wanted.dir = 0; r != -ERANGE && s->wanted.dir < MAX_DIRS; s->wanted.dir++) {
		r = try_candidate(s, ret_fd);
		if (r == 0)
			return true;
		if (r != -ENOENT && r != -ERANGE)
			s->counts->refused++;
		if (once || r == -EINVAL || r == -ECONNRESET)
			break;
	}
	return false;
}

static bool try_ours(struct search *s, enum keeper_debug_place place, const char *name, int *ret_fd)
{
	s->wanted.in_target = false;
	return try_place(s, place, name, ret_fd);
}

/* Ours first. */
static bool try_both(struct search *s, enum keeper_debug_place place, const char *name, int *ret_fd)
{
	if (try_ours(s, place, name, ret_fd))
		return true;
	s->wanted.in_target = true;
	return s->wanted.pid > 0 && try_place(s, place, name, ret_fd);
}

static bool find_by_link(struct search *s, const char *name, int *ret_fd)
{
	return try_ours(s, KEEPER_DEBUG_BESIDE, name, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_BESIDE_HIDDEN, name, ret_fd) ||
	       try_both(s, KEEPER_DEBUG_BELOW, name, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_IN, name, ret_fd);
}

/* dwz names its file by a path, of which the part below the debug directory counts:
 * "/usr/lib/debug/.dwz/x86_64-linux-gnu/bash.debug". */
static int find_alt(struct search *s, const struct elf_links *links)
{
	const char *name = strstr(links->alt, "/.dwz/");
	int fd = -1;

	s->wanted.build_id = links->alt_build_id;
	s->wanted.build_id_bytes = links->alt_build_id_bytes;
	if (links->alt_build_id_bytes == 0) {
		s->counts->refused++;
		return -1;
	}
	if (name && try_both(s, KEEPER_DEBUG_DWZ, name + strlen("/.dwz/"), &fd))
		return fd;
	return try_both(s, KEEPER_DEBUG_BY_ID, NULL, &fd) ? fd : -1;
}

static int find_debug(struct search *s, const struct module *module, const struct elf_links *own,
		      bool *ret_check_crc)
{
	int fd = -1;

	s->wanted.build_id = module->build_id;
	s->wanted.build_id_bytes = module->build_id_bytes;
	if (module->build_id_bytes > 0 && try_both(s, KEEPER_DEBUG_BY_ID, NULL, &fd))
		return fd;
	if (!own->has_link || !find_by_link(s, own->link, &fd))
		return -1;
	*ret_check_crc = module->build_id_bytes == 0;
	return fd;
}

static void lacks(struct separate *separate, const uint8_t *id, size_t bytes)
{
	separate->incomplete = true;
	memcpy(separate->missing, id, bytes);
	separate->missing_bytes = bytes;
}

static struct search *begin_search(struct keeper *keeper, const struct module *module,
				   struct separate_counts *counts)
{
	struct search *s = calloc(1, sizeof(*s));

	if (!s || !keeper || module->fd < 0 || fstat(module->fd, &s->self) < 0) {
		free(s);
		return NULL;
	}
	s->keeper = keeper;
	s->counts = counts;
	s->wanted.pid = module->attempt_pid;
	s->wanted.owner = s->self.st_uid;
	s->wanted.path = module->path;
	return s;
}

void separate_find(struct keeper *keeper, const struct module *module,
		   struct separate_counts *counts, struct separate *ret_separate)
{
	struct separate found = {.debug_fd = -1, .alt_fd = -1};
	_cleanup_free_ struct elf_links *own = malloc(sizeof(*own));
	_cleanup_free_ struct search *s = begin_search(keeper, module, counts);
	uint64_t refused = counts->refused;

	*ret_separate = found;
	if (!own || !s || elf_read_links(module->fd, own) < 0)
		return;
	if (!own->has_dwarf)
		found.debug_fd = find_debug(s, module, own, &found.check_crc);
	if (!own->has_dwarf && found.debug_fd < 0)
		lacks(&found, module->build_id, module->build_id_bytes);
	found.crc = own->link_crc;
	if (found.debug_fd >= 0)
		*own = s->links;
	if (own->has_alt)
		found.alt_fd = find_alt(s, own);
	if (own->has_alt && found.alt_fd < 0)
		lacks(&found, own->alt_build_id, own->alt_build_id_bytes);
	/* Several candidates of one module, or one by several ways, are one. */
	counts->refused = min(counts->refused, refused + 1);
	counts->found += (found.debug_fd >= 0) + (found.alt_fd >= 0);
	*ret_separate = found;
}

/* Where it was compiled, or moved to as it was; or all in one place. */
static bool find_dwo(struct search *s, const char *path, int *ret_fd)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return try_both(s, KEEPER_DEBUG_SPLIT_BELOW, path, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_IN, name, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_SPLIT, path, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_BESIDE, name, ret_fd);
}

static bool find_package(struct search *s, const char *path, int *ret_fd)
{
	const char *slash = strrchr(path, '/');
	char name[PROFD_MAX_DEBUG_NAME + 1];
	int n = snprintf(name, sizeof(name), "%s.dwp", slash ? slash + 1 : path);

	if (n < 0 || (size_t)n >= sizeof(name))
		return false;
	return try_ours(s, KEEPER_DEBUG_BESIDE, name, ret_fd) ||
	       try_both(s, KEEPER_DEBUG_BELOW, name, ret_fd) ||
	       try_ours(s, KEEPER_DEBUG_IN, name, ret_fd);
}

int separate_find_split(struct keeper *keeper, const struct module *module, const char *name,
			struct separate_counts *counts)
{
	_cleanup_free_ struct search *s = begin_search(keeper, module, counts);
	uint64_t refused = counts->refused;
	bool found;
	int fd = -1;

	if (!s)
		return -ENOENT;
	found = name[0] != '\0' ? find_dwo(s, name, &fd) : find_package(s, module->path, &fd);
	counts->refused = min(counts->refused, refused + 1);
	counts->found += found;
	return found ? fd : -ENOENT;
}

void separate_done(struct separate *separate)
{
	profd_closep(&separate->debug_fd);
	profd_closep(&separate->alt_fd);
	*separate = (struct separate){.debug_fd = -1, .alt_fd = -1};
}
