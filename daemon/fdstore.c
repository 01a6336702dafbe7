#include "daemon/fdstore.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "profd/base.h"
#include "profd/limits.h"

static const char prefix[] = "heap-";

/* The names of all have to fit into one string of a new program's environment. */
static_assert(PROFD_MAX_STORED_TABLES * FDSTORE_NAME_BYTES < 128 * 1024 - 256, "MAX_ARG_STRLEN");

void fdstore_name(const struct heap_identity *id, char ret[FDSTORE_NAME_BYTES])
{
	char comm[2 * PROCESS_COMM_BYTES + 1] = "";

	for (size_t i = 0; i < sizeof(id->comm) && id->comm[i]; i++)
		snprintf(comm + 2 * i, 3, "%02x", (unsigned char)id->comm[i]);
	snprintf(ret, FDSTORE_NAME_BYTES, "%s%d-%u-%" PRIu64 "-%" PRIu64 "-%s", prefix,
		 (int)id->pid, (unsigned)id->uid, id->start_ticks, id->inode, comm);
}

static int parse_comm(const char *hex, char ret[PROCESS_COMM_BYTES])
{
	size_t n = strlen(hex) / 2;
	unsigned byte;

	if (n >= PROCESS_COMM_BYTES)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1 || byte == 0)
			return -EBADMSG;
		ret[i] = (char)byte;
	}
	ret[n] = '\0';
	return 0;
}

/* Read loosely, then spelt anew: only what comes out the same was right. */
int fdstore_parse(const char *name, struct heap_identity *ret_id)
{
	struct heap_identity id = {.pid = 0};
	char hex[2 * PROCESS_COMM_BYTES] = "", again[FDSTORE_NAME_BYTES];
	int pid;
	unsigned uid;

	if (strlen(name) >= FDSTORE_NAME_BYTES ||
	    sscanf(name, "heap-%d-%u-%" SCNu64 "-%" SCNu64 "-%31s", &pid, &uid, &id.start_ticks,
		   &id.inode, hex) < 4 ||
	    pid <= 0)
		return -EBADMSG;
	id.pid = pid;
	id.uid = uid;
	if (parse_comm(hex, id.comm) < 0)
		return -EBADMSG;
	fdstore_name(&id, again);
	if (strcmp(name, again) != 0)
		return -EBADMSG;
	*ret_id = id;
	return 0;
}

static int either(int shelf, int manager)
{
	if (manager > 0 || shelf == 0)
		return 0;
	return manager < 0 ? manager : shelf;
}

int fdstore_put(int shelf, const struct heap_identity *id, int fd)
{
	char name[FDSTORE_NAME_BYTES], text[FDSTORE_NAME_BYTES + 32];
	int r;

	fdstore_name(id, name);
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	r = shelf_put(shelf, name, fd);
	return either(r, sd_pid_notify_with_fds(0, false, text, &fd, 1));
}

int fdstore_remove(int shelf, const char *name)
{
	int r = shelf_remove(shelf, name);

	return either(r, sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name));
}

static bool is_control_socket(int fd)
{
	return sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) > 0 &&
	       fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* Takes @fd and @name over. */
static void sort_in(struct fdstore_handover *h, int shelf, int fd, char *name)
{
	if (strncmp(name, prefix, strlen(prefix)) == 0 && h->n_tables < PROFD_MAX_STORED_TABLES) {
		h->tables[h->n_tables++] = (struct fdstore_passed){.fd = fd, .name = name};
		return;
	}
	if (h->socket < 0 && is_control_socket(fd)) {
		h->socket = fd;
	} else {
		h->refused++;
		(void)fdstore_remove(shelf, name);
		close(fd);
	}
	free(name);
}

int fdstore_take_over(int shelf, struct fdstore_handover *ret_handover)
{
	struct fdstore_handover h = {.socket = -1};
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	if (n > 0) {
		h.tables = calloc((size_t)n, sizeof(*h.tables));
		if (!h.tables)
			return -ENOMEM; /* the descriptors end with us */
		for (int i = 0; i < n; i++)
			sort_in(&h, shelf, SD_LISTEN_FDS_START + i, names[i]);
	}
	free(names);
	*ret_handover = h;
	return 0;
}

void fdstore_handover_done(struct fdstore_handover *h)
{
	for (size_t i = 0; i < h->n_tables; i++) {
		profd_closep(&h->tables[i].fd);
		free(h->tables[i].name);
	}
	free(h->tables);
	profd_closep(&h->socket);
	*h = (struct fdstore_handover){.socket = -1};
}
