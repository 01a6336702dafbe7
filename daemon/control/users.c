/*
 * Two buckets a user, one of connections and one of time, that fill as time goes by.
 * A user without a connection and with full buckets is like one never seen, so
 * such entries are used again; the table is small, and searched from its start.
 */
#include "daemon/control/users.h"

#include <errno.h>
#include <stdlib.h>

#include "profd/base.h"
#include "profd/limits.h"

#define USERS_MAX     128
#define CONNECTS_FULL ((int64_t)PROFD_MAX_CONNECTS_BURST * (int64_t)NSEC_PER_SEC)
#define WORK_FULL_NS  ((int64_t)(PROFD_USER_WORK_BURST_MS * NSEC_PER_MSEC))
#define WORK_LEAST_NS (-10 * WORK_FULL_NS) /* no debt is for ever */
#define FULL_AFTER_NS (10 * NSEC_PER_SEC)

struct user {
	uid_t uid;
	unsigned users; /* of this entry */
	unsigned places;
	int64_t connects; /* left, times NSEC_PER_SEC */
	int64_t work_ns;  /* left */
	size_t queued_bytes;
	uint64_t filled_ns; /* up to when */
};

struct users {
	struct user list[USERS_MAX];
	size_t n;
	unsigned places; /* of all that are not privileged */
};

int users_new(struct users **ret_users)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users)
		return -ENOMEM;
	*ret_users = users;
	return 0;
}

void users_free(struct users *users)
{
	free(users);
}

static void fill(struct user *user, uint64_t now_ns)
{
	int64_t passed = (int64_t)min(now_ns - user->filled_ns, (uint64_t)FULL_AFTER_NS);

	user->filled_ns = now_ns;
	user->connects = min(user->connects + passed * PROFD_MAX_CONNECTS_SECOND, CONNECTS_FULL);
	user->work_ns = min(user->work_ns + passed * PROFD_USER_WORK_PERCENT / 100, WORK_FULL_NS);
}

static bool is_free(const struct user *user, uint64_t now_ns)
{
	return user->users == 0 && now_ns - user->filled_ns >= FULL_AFTER_NS;
}

static struct user *find(struct users *users, uid_t uid, uint64_t now_ns)
{
	struct user *unused = NULL;

	for (size_t i = 0; i < users->n; i++) {
		struct user *user = &users->list[i];

		if (user->uid == uid)
			return user;
		if (!unused && is_free(user, now_ns))
			unused = user;
	}
	if (!unused && users->n < USERS_MAX)
		unused = &users->list[users->n++];
	if (unused)
		*unused = (struct user){.uid = uid,
					.connects = CONNECTS_FULL,
					.work_ns = WORK_FULL_NS,
					.filled_ns = now_ns};
	return unused;
}

struct user *users_enter(struct users *users, uid_t uid, uint64_t now_ns)
{
	struct user *user = find(users, uid, now_ns);

	if (!user)
		return NULL;
	fill(user, now_ns);
	if (uid != 0) {
		if (user->connects < (int64_t)NSEC_PER_SEC)
			return NULL;
		user->connects -= (int64_t)NSEC_PER_SEC;
	}
	user->users++;
	return user;
}

bool users_take_place(struct users *users, struct user *user)
{
	if (user->places >= PROFD_MAX_PEERS_OF_USER || users->places >= PROFD_MAX_PEERS_OF_USERS)
		return false;
	user->places++;
	users->places++;
	return true;
}

/* Of a user's connections either all have taken a place or none has, as far as it
 * matters: who joins group profd meanwhile gives back a place too early. */
void users_leave(struct users *users, struct user *user)
{
	user->users--;
	if (user->places > user->users) {
		user->places--;
		users->places--;
	}
}

void users_charge(struct user *user, uint64_t ns, uint64_t now_ns)
{
	fill(user, now_ns);
	user->work_ns -= (int64_t)min(ns, (uint64_t)WORK_FULL_NS);
	user->work_ns = max(user->work_ns, WORK_LEAST_NS);
}

bool users_may_work(struct user *user, uint64_t now_ns)
{
	fill(user, now_ns);
	return user->work_ns > 0;
}

bool users_queue(struct user *user, ptrdiff_t bytes)
{
	if (bytes > 0 && user->queued_bytes + (size_t)bytes > PROFD_MAX_QUEUED_BYTES_OF_USER)
		return false;
	user->queued_bytes += (size_t)bytes;
	return true;
}
