#include "client/profctl/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "client/profctl/save.h"
#include "profd/base.h"
#include "proto/pprof_merge.h"

#define GATHER_MAX_FILES 4096
#define GATHER_MAX_BYTES (256u << 20) /* of one file, inflated */

int gather_add(struct gather *g, int fd, pid_t pid, const char *comm)
{
	struct gathered *file;
	int copy;

	if (g->files.n == GATHER_MAX_FILES)
		return -E2BIG;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	file = array_add(&g->files);
	if (!file) {
		close(copy);
		return -ENOMEM;
	}
	file->fd = copy;
	file->pid = pid;
	snprintf(file->comm, sizeof(file->comm), "%s", comm);
	return 0;
}

void gather_done(struct gather *g)
{
	for (size_t i = 0; i < g->files.n; i++)
		close(g->files.items[i].fd);
	free(g->files.items);
	*g = (struct gather){};
}

static int read_file(const struct gathered *file, struct pprof **ret_p)
{
	if (lseek(file->fd, 0, SEEK_SET) < 0)
		return -errno;
	return pprof_read(file->fd, GATHER_MAX_BYTES, ret_p);
}

/* One file after another, so that no more than two are in memory: their sum so far
 * has its labels already. */
static int sum(const struct gather *g, struct pprof **ret_p)
{
	struct pprof *total = NULL, *next = NULL, *merged = NULL;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->files.n; i++) {
		const struct gathered *file = &g->files.items[i];
		struct pprof_label labels[] = {
			{.key = "pid", .num = file->pid},
			{.key = "comm", .str = file->comm},
		};
		struct pprof_merge_input inputs[2] = {};
		size_t n = 0;

		r = read_file(file, &next);
		if (r < 0)
			break;
		if (total)
			inputs[n++].profile = total;
		inputs[n++] = (struct pprof_merge_input){
			.profile = next, .labels = labels, .n_labels = ARRAY_SIZE(labels)};
		r = pprof_merge(inputs, n, &merged);
		pprof_free(next);
		if (r < 0)
			break;
		pprof_free(total);
		total = merged;
	}
	if (r < 0)
		pprof_free(total);
	else
		*ret_p = total;
	return r;
}

int gather_write(struct gather *g, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct pprof *p = NULL;
	int r = sum(g, &p);

	gather_done(g);
	if (r < 0)
		return r;
	fd = memfd_create("profctl-heap", MFD_CLOEXEC);
	r = fd < 0 ? -errno : pprof_write_gzip(p, fd);
	pprof_free(p);
	return r < 0 ? r : save_as(path, fd);
}
