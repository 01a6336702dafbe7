#include "client/profctl/deliver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/profctl/expand.h"
#include "client/profctl/output.h"
#include "client/profctl/save.h"
#include "profd/base.h"

void deliver_init(struct deliver *d, const char *output, const char *cpu, const char *heap)
{
	*d = (struct deliver){.output = output, .cpu = cpu, .heap = heap};
	if (gethostname(d->host, sizeof(d->host) - 1) < 0)
		snprintf(d->host, sizeof(d->host), "localhost");
}

bool deliver_wants_cpu(const struct deliver *d)
{
	return (d->output || d->cpu) && !d->no_cpu;
}

bool deliver_wants_heap(const struct deliver *d)
{
	return d->output || d->heap;
}

bool deliver_wants_client(const struct deliver *d)
{
	return deliver_wants_heap(d) || d->block || d->mutex;
}

static int expand(const struct deliver *d, const char *name, pid_t pid, char **ret_path)
{
	struct expand values = {.pid = pid, .host = d->host};

	values.unix_ns = clock_unix_ns();
	return expand_name(name, &values, ret_path);
}

static int check_name(const struct deliver *d, const char *option, const char *name)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (!name)
		return 0;
	r = expand(d, name, d->pid, &path);
	if (r == 0)
		r = save_check(path);
	if (r < 0)
		output_error("%s: %s: %s: name a file that you can write", option,
			     path ? path : name, strerror(-r));
	return r;
}

int deliver_check(const struct deliver *d)
{
	int r;

	r = check_name(d, "--cpu", d->cpu);
	if (r == 0)
		r = check_name(d, "--offcpu", d->offcpu);
	if (r == 0)
		r = check_name(d, "--block", d->block);
	if (r == 0)
		r = check_name(d, "--mutex", d->mutex);
	return r < 0 ? r : check_name(d, "--heap", d->heap);
}

/* One name is one file; it is the command's own. */
static const char *name_of_process(struct deliver *d, const Profd__File *file, const char *name,
				   bool *got)
{
	bool own = (pid_t)file->pid == d->pid;

	if (!name)
		return NULL;
	*got = *got || own;
	if (own || expand_has(name, 'p'))
		return name;
	d->others += strcmp(file->type, "heap") == 0;
	return NULL;
}

/* The name that @file is to have; NULL: it has none. */
static const char *name_for(struct deliver *d, const Profd__File *file)
{
	if (strcmp(file->type, "cpu") == 0) {
		d->got_cpu = true;
		return d->cpu;
	}
	if (strcmp(file->type, "offcpu") == 0) {
		d->got_offcpu = true;
		return d->offcpu;
	}
	if (strcmp(file->type, "heap") == 0)
		return name_of_process(d, file, d->heap, &d->got_heap);
	if (strcmp(file->type, "block") == 0)
		return name_of_process(d, file, d->block, &d->got_block);
	if (strcmp(file->type, "mutex") == 0)
		return name_of_process(d, file, d->mutex, &d->got_mutex);
	return NULL;
}

static void lose(struct deliver *d, const char *name, int error)
{
	output_error("%s: %s: this profile is lost", name, strerror(-error));
	d->failed = true;
}

static void gather(struct deliver *d, const Profd__File *file, int fd)
{
	int r = fd < 0 ? -EBADMSG : gather_add(&d->heaps, fd, (pid_t)file->pid, file->comm);

	d->got_heap = true;
	if (r < 0)
		lose(d, d->heap, r);
}

static void write_gathered(struct deliver *d)
{
	_cleanup_free_ char *path = NULL;
	unsigned n = (unsigned)d->heaps.files.n;
	int r;

	if (n == 0)
		return;
	r = expand(d, d->heap, d->pid, &path);
	if (r == 0)
		r = gather_write(&d->heaps, path);
	if (r < 0) {
		lose(d, path ? path : d->heap, r);
		return;
	}
	d->written++;
	output_note("wrote %s, of %u process%s", path, n, n == 1 ? "" : "es");
}

void deliver_done(struct deliver *d)
{
	gather_done(&d->heaps);
}

static void save(struct deliver *d, const Profd__File *file, int fd, bool quiet)
{
	_cleanup_free_ char *path = NULL;
	const char *name = name_for(d, file);
	int r;

	if (!name)
		return;
	r = expand(d, name, file->pid != 0 ? (pid_t)file->pid : d->pid, &path);
	if (r == 0)
		r = fd >= 0 ? save_as(path, fd) : -EBADMSG;
	if (r < 0) {
		lose(d, path ? path : name, r);
		return;
	}
	d->written++;
	if (!quiet)
		output_note("wrote %s", path);
}

static void note_stored(struct deliver *d, const Profd__File *file, bool quiet)
{
	d->written++;
	if (quiet)
		return;
	if (strcmp(d->output, ".") == 0)
		output_note("wrote %s", file->name);
	else
		output_note("wrote %s/%s", d->output, file->name);
}

void deliver_take(struct deliver *d, const struct reply *reply, bool quiet)
{
	const Profd__Reply *message = reply->message;
	const Profd__Missing *missing;

	if (message->kind_case == PROFD__REPLY__KIND_FILE && d->output) {
		note_stored(d, message->file, quiet);
	} else if (message->kind_case == PROFD__REPLY__KIND_FILE && d->children && d->heap &&
		   strcmp(message->file->type, "heap") == 0) {
		gather(d, message->file, reply->fd);
	} else if (message->kind_case == PROFD__REPLY__KIND_FILE) {
		save(d, message->file, reply->fd, quiet);
	} else if (message->kind_case == PROFD__REPLY__KIND_MISSING) {
		missing = message->missing;
		if (missing->pid != 0)
			output_error("%s of %s (%" PRIu32 "): %s", missing->type, missing->comm,
				     missing->pid, missing->why);
		else
			output_error("%s: %s", missing->type, missing->why);
		d->failed = true;
	}
}

void deliver_finish(struct deliver *d)
{
	write_gathered(d);
	if (d->others > 0)
		output_note("heaps of %u other processes were not written: give --children, or "
			    "put %%p in the name given to --heap, to have them too",
			    d->others);
	if (d->failed)
		return; /* it was said why */
	if (d->heap && !d->got_heap)
		output_error("--heap: the command itself had no heap client: it may be static, or "
			     "setuid, or have run too short");
	if (d->cpu && !d->got_cpu)
		output_error("--cpu: there was no CPU profile: the command may have run too short");
	if ((d->block && !d->got_block) || (d->mutex && !d->got_mutex))
		output_error(
			"--block, --mutex: the command itself had no client: it may be static, "
			"or setuid, or have run too short");
	if (d->offcpu && !d->got_offcpu)
		output_error("--offcpu: there was no off-CPU profile: the command may have run too "
			     "short");
	if (d->output && d->written == 0)
		output_error("run: there was nothing to write: the command may have run too short");
}
