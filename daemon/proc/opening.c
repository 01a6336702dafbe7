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

/* A file that could not be had through one process may be had through another,
 * but the more often it could not, the more processes go by before it is tried
 * again: 1, 2, 4.. */
#define OPEN_MAX_SHIFT 20

#define OPEN_ANCESTORS 3

static bool should_open(struct module *m, pid_t pid)
{
	unsigned shift = m->attempts > 0 ? m->attempts - 1 : 0;

	if (m->kind != MODULE_FILE || m->fd >= 0)
		return false;
	if (!m->opened)
		return true;
	if (m->attempt_pid == pid)
		return false;
	m->attempt_pid = pid;
	m->passed++;
	return m->passed >= 1u << min(shift, (unsigned)OPEN_MAX_SHIFT);
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

/* Through @pid: by its mapping at @start..@end, or by its name for the path. */
static int open_through(struct process_table *table, struct module *m, pid_t pid, uint64_t start,
			uint64_t end, struct module **ret_module)
{
	_cleanup_close_ int fd = keeper_open_mapped(table->keeper, pid, start, end, m->path);
	int rc;

	if (fd < 0)
		return fd;
	rc = check_identity(m, fd);
	if (rc < 0)
		return rc;
	return module_adopt_fd(table->modules, m, take_fd(&fd), ret_module);
}

/* A process that has gone has taken its root along. Those that it came from,
 * such as a container's shell, mostly have the same. */
static int open_file(struct process_table *table, const struct process *process,
		     const struct process_map *map, struct module **ret_module)
{
	struct module *m = map->module;
	const struct process *p = process;
	int rc = open_through(table, m, p->witness, map->start, map->end, ret_module);

	for (int i = 0; i < OPEN_ANCESTORS && (rc == -ENOENT || rc == -ESRCH || rc == -ESTALE);
	     i++) {
		if (p->parent <= 1)
			break;
		p = process_peek(table, p->parent);
		if (!p)
			break;
		rc = open_through(table, m, p->witness, 0, 0, ret_module);
	}
	return rc;
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
	m->passed = 0;
	m->attempt_pid = process->pid;
	rc = open_file(table, process, map, &found);
	if (rc < 0)
		m->error = rc;
	else if (found != m)
		replace_module(process, m, found);
	return found;
}

void process_keep_modules(const struct process_table *table)
{
	for (const struct process_entry *e = table->processes; e; e = e->hh.next)
		for (size_t i = 0; i < e->process.n_maps; i++)
			module_keep(e->process.maps[i].module);
}
