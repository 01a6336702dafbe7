/*
 * Asking a keeper in another process: the verbs of keeper.h as messages (wire.h).
 * Internal to the keeper: keeper.c calls these for a keeper that has a socket.
 */
#pragma once

#include "daemon/keeper/keeper.h"

int remote_open_event(struct keeper *k, const struct perf_event_attr *attr, pid_t pid, int cpu);
int remote_lend_ring(struct keeper *k, int event_fd, size_t bytes);
int remote_open_file(struct keeper *k, pid_t pid, enum keeper_file file);
ssize_t remote_read_file(struct keeper *k, pid_t pid, enum keeper_file file, char *ret,
			 size_t size);
ssize_t remote_read_thread(struct keeper *k, pid_t pid, pid_t tid, enum keeper_thread_file file,
			   char *ret, size_t size);
int remote_open_machine(struct keeper *k, enum keeper_machine file);
int remote_open_tracepoint(struct keeper *k, const char *system, const char *name);
ssize_t remote_read_stack(struct keeper *k, pid_t pid, pid_t tid, uint64_t sp,
			  const uint8_t **ret_bytes);
ssize_t remote_stop_thread(struct keeper *k, pid_t pid, pid_t tid, struct peek_thread *ret_thread,
			   const uint8_t **ret_stack);
void remote_rest(struct keeper *k);
int remote_open_mapped(struct keeper *k, pid_t pid, uint64_t start, uint64_t end, const char *path);
int remote_open_program(struct keeper *k, pid_t pid);
int remote_open_perf_map(struct keeper *k, pid_t pid, pid_t inner_pid, uid_t uid,
			 uint64_t max_bytes);
int remote_open_debug(struct keeper *k, const struct keeper_debug *wanted);
int remote_open_table(struct keeper *k, pid_t pid, uint64_t start, uint64_t end);
int remote_describe(struct keeper *k, struct keeper_description *ret_description);
