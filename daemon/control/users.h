/*
 * What each user has of the control socket, so that one cannot keep it from the
 * others: how many connections at once, how many new ones a second, how much of
 * the daemon's time, and how much memory for answers that are not read. Bounds are
 * in limits.h; root, and with the exception of new connections group profd, have
 * none but those of all together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct users;
struct user;

int users_new(struct users **ret_users);
void users_free(struct users *users);

/* A new connection of @uid's. NULL: one too many in this second, or too many users at
 * once. The user is held until users_leave(). */
struct user *users_enter(struct users *users, uid_t uid, uint64_t now_ns);
void users_leave(struct users *users, struct user *user);

/* Whether one who is not privileged may have one more connection; counts it if so.
 * Then users_leave() gives it back. */
bool users_take_place(struct users *users, struct user *user);

/* @ns of the daemon's time have been spent on the user. */
void users_charge(struct user *user, uint64_t ns, uint64_t now_ns);
/* False: the user's time is spent, until later. */
bool users_may_work(struct user *user, uint64_t now_ns);

/* Answers that wait to be read, @bytes more or less of them. False: too many. */
bool users_queue(struct user *user, ptrdiff_t bytes);
