#include "daemon/control/sight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "proto/array.h"

struct seen {
	uint32_t life;
	pid_t pid;
};

static int by_life(const void *left, const void *right)
{
	const struct seen *a = left, *b = right;

	return a->life < b->life ? -1 : a->life > b->life;
}

int sight_check_process(struct control_context *ctx, uid_t uid, pid_t pid)
{
	uid_t owner;
	int r = process_read_owner(ctx->keeper, pid, &owner);

	return r < 0 ? r : owner == uid ? 0 : -EACCES;
}

/* One that has ended was the user's to its end, as far as anybody can say. */
static bool is_allowed_still(struct control_context *ctx, uid_t uid, const struct seen *seen)
{
	const struct process *process = process_peek(ctx->processes, seen->pid);

	if (process_is_disowned(ctx->processes, seen->life))
		return false;
	if (!process || process->life != seen->life || process->exited_ns != 0)
		return true;
	return sight_check_process(ctx, uid, seen->pid) != -EACCES;
}

static bool read_setting(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n <= 0)
		return false;
	ret[n] = '\0';
	return true;
}

bool sight_shows_kernel(const char *perf_event_paranoid, const char *kptr_restrict)
{
	int paranoid, restricted;

	return sscanf(perf_event_paranoid, "%d", &paranoid) == 1 &&
	       sscanf(kptr_restrict, "%d", &restricted) == 1 && paranoid <= 1 && restricted == 0;
}

static bool may_see_kernel(void)
{
	char paranoid[16], restricted[16];

	return read_setting("/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof(paranoid)) &&
	       read_setting("/proc/sys/kernel/kptr_restrict", restricted, sizeof(restricted)) &&
	       sight_shows_kernel(paranoid, restricted);
}

int sight_init(struct control_context *ctx, uid_t uid, pid_t pid, const struct aggregate *samples,
	       struct sight *ret_sight)
{
	ARRAY_TABLE(struct seen) all = {0};
	struct sight s = {.kernel = may_see_kernel()};
	struct seen *seen;

	for (size_t i = 0; i < aggregate_count(samples); i++) {
		struct aggregate_entry e;

		aggregate_entry(samples, i, &e);
		if (e.labels.owner != uid || e.labels.life == 0 || (pid && e.labels.pid != pid))
			continue;
		if (all.n > 0 && all.items[all.n - 1].life == e.labels.life)
			continue;
		seen = array_add(&all);
		if (!seen) {
			free(all.items);
			return -ENOMEM;
		}
		*seen = (struct seen){.life = e.labels.life, .pid = e.labels.pid};
	}
	s.lives = calloc(all.n + 1, sizeof(*s.lives));
	if (!s.lives) {
		free(all.items);
		return -ENOMEM;
	}
	if (all.n > 0)
		qsort(all.items, all.n, sizeof(*all.items), by_life);
	for (size_t i = 0; i < all.n; i++)
		if ((i == 0 || all.items[i].life != all.items[i - 1].life) &&
		    is_allowed_still(ctx, uid, &all.items[i]))
			s.lives[s.n_lives++] = all.items[i].life;
	free(all.items);
	*ret_sight = s;
	return 0;
}

void sight_done(struct sight *s)
{
	free(s->lives);
	*s = (struct sight){0};
}
