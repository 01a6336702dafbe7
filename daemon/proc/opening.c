/*
 * From a mapping to the file behind it.
 *
 * The keeper opens by the mapping itself where it can, and then the file is the
 * right one for certain; otherwise by path, and then it may be anything: the
 * program was rebuilt, the path is in another container, the pid is somebody
 * else's by now. Names out of the wrong version of a file are worse than none,
 * so whatever was opened has to show the build-id, or the device and inode,
 * that the mapping was recorded with.
 */
#include "daemon/proc/process-table.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "profd/base.h"

/* A file that could not be had through one process may be had through another;
 * but not for ever. */
#define OPEN_MAX_ATTEMPTS 4

static bool should_open(const struct module *m, pid_t pid)
{
	if (m->kind != MODULE_FILE || m->fd >= 0)
		return false;
	return !m->opened || (m->attempts < OPEN_MAX_ATTEMPTS && m->attempt_pid != pid);
}

/* btrfs and overlayfs give stat() a device number of no disk (major 0) where
 * the mapping has the disk's, or another such one: then the inode has to do. */
static bool is_same_device(dev_t a, dev_t b)
{
	return a == b || major(a) == 0 || major(b) == 0;
}

/* Inode numbers are used again, generations are not. Not every file system
 * tells them. */
static bool is_same_generation(const struct module *m, int fd)
{
	int generation = 0; /* the kernel writes 32 bits */

	if (m->inode_generation == 0 || ioctl(fd, FS_IOC_GETVERSION, &generation) < 0)
		return true;
	return (uint32_t)generation == (uint32_t)m->inode_generation;
}

/* A build-id, where one is known, is compared by module_adopt_fd(). */
static int check_identity(const struct module *m, int fd)
{
	struct stat st;

	if (m->build_id_bytes > 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (m->inode == 0 || st.st_ino != m->inode || !is_same_device(m->dev, st.st_dev) ||
	    !is_same_generation(m, fd))
		return -ESTALE;
	return 0;
}

static int open_file(struct process_table *table, const struct process *process,
		     const struct process_map *map, struct module **ret_module)
{
	_cleanup_close_ int fd = -1;
	int rc;

	fd = keeper_open_mapped(table->keeper, process->pid, map->start, map->end,
				map->module->path);
	if (fd < 0)
		return fd;
	rc = check_identity(map->module, fd);
	if (rc < 0)
		return rc;
	return module_adopt_fd(table->modules, map->module, take_fd(&fd), ret_module);
}

static void replace_module(struct process *process, const struct module *from, struct module *to)
{
	for (size_t i = 0; i < process->n_maps; i++)
		if (process->maps[i].module == from)
			process->maps[i].module = to;
}

/* A program may begin to write its map at any time. The first, second, fourth,
 * eighth.. time that its generated code is seen is soon enough, and costs little. */
static void try_perf_map(struct process_table *table, struct module *m)
{
	m->attempts++;
	if (m->fd < 0 && m->attempts < INT32_MAX && (m->attempts & (m->attempts - 1)) == 0)
		(void)module_open_perf_map(table->modules, table->keeper, m);
}

struct module *process_open_module(struct process_table *table, struct process *process,
				   const struct process_map *map)
{
	struct module *m = map->module, *found = m;
	int rc;

	if (m->alias_of) {
		replace_module(process, m, m->alias_of);
		return map->module;
	}
	if (m->kind == MODULE_JIT)
		try_perf_map(table, m);
	if (!should_open(m, process->pid))
		return m;
	m->opened = true;
	m->attempts++;
	m->attempt_pid = process->pid;
	rc = open_file(table, process, map, &found);
	if (rc < 0)
		m->error = rc;
	else if (found != m)
		replace_module(process, m, found);
	return found;
}
