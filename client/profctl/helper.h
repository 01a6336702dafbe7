/*
 * The other programs of profd that profctl starts. Servers live as long as a command
 * does: profd itself and profd-http. Filters read, write and end: profd-fetch, and profd
 * when it symbolizes a file.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

/* Finds a file of profd's installation, "profd" or "libprofd.so": beside
 * profctl, or where `make install` puts it from there, or in /usr. Returns 0
 * and the malloc'd path, without links and "..", or -ENOENT, reported. */
int helper_find(const char *name, char **ret_path);

/* Where the client is, to be shown in advice: "libprofd.so" if it is not found. malloc'd;
 * NULL: no memory. */
char *helper_name_client(void);

struct helper_server {
	const char *name;	 /* for helper_find(), and for messages */
	const char *const *args; /* besides --ready-fd N, to a NULL */
	const sigset_t *mask;	 /* for it */
	int signals_fd;
	int timeout_ms; /* until it is ready */
};

/* Starts it and waits until it is ready, which it says by a byte to --ready-fd. Returns 0
 * and its pid, or -errno, reported; -EINTR: a signal came, *ret_signal. */
int helper_serve(const struct helper_server *server, pid_t *ret_pid, int *ret_signal);

/* Waits @patience_ms for it to end by itself, then ends it. @pid 0: there is none. */
void helper_stop(pid_t pid, int patience_ms);

struct helper_filter {
	const char *const *argv;     /* the program's path first, to a NULL */
	int in_fd, out_fd, error_fd; /* -1: ours */
};

/* Starts it. Signals that we block are blocked in it, and it does not outlive us. Returns
 * 0 and its pid, or -errno, not reported. */
int helper_start(const struct helper_filter *filter, pid_t *ret_pid);

/* Waits until it has ended. Returns 0, or -EIO if it failed. */
int helper_wait(pid_t pid);
