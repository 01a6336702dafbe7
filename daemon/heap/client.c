/*
 * The table of clients: a plain list, since it is walked for every snapshot and
 * searched only when somebody attaches. Dead clients stay in it until their
 * last heap has been written; whoever works on one across a return to the
 * event loop holds a reference.
 */
#include "daemon/heap/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/heap/cpu.h"
#include "daemon/heap/waits.h"
#include "daemon/proc/ending.h"
#include "daemon/proc/pids.h"
#include "profd/base.h"
#include "profd/limits.h"
#include "proto/heap_name.h"
#include "proto/heap_table.h"

struct heap_clients {
	struct keeper *keeper;
	struct heap_client *first;
	size_t count;
	struct heap_refusals refused;
	struct heap_totals ended; /* of clients removed */
};

int heap_clients_new(struct keeper *keeper, struct heap_clients **ret_clients)
{
	struct heap_clients *clients = calloc(1, sizeof(*clients));

	if (!clients)
		return -ENOMEM;
	clients->keeper = keeper;
	*ret_clients = clients;
	return 0;
}

void heap_clients_free(struct heap_clients *clients)
{
	if (!clients)
		return;
	while (clients->first)
		heap_clients_remove(clients, clients->first);
	free(clients);
}

struct heap_client *heap_client_ref(struct heap_client *client)
{
	client->users++;
	return client;
}

struct heap_client *heap_client_unref(struct heap_client *client)
{
	if (!client || --client->users > 0)
		return NULL;
	profd_closep(&client->pid_fd);
	profd_closep(&client->table_fd);
	free(client->unit);
	free(client->oom_path);
	free(client->modules);
	free(client->stored_name);
	heap_cpu_seen_free(client->cpu_seen);
	heap_copy_labels_done(&client->labels);
	free(client);
	return NULL;
}

static void count_totals(struct heap_client *client)
{
	struct heap_header header;

	if (heap_table_header(client->table_fd, &header) == 0)
		heap_totals_look(&client->counted, &header);
}

void heap_clients_totals(struct heap_clients *clients, struct heap_totals *ret_totals)
{
	*ret_totals = clients->ended;
	for (struct heap_client *c = clients->first; c; c = c->next) {
		count_totals(c);
		heap_totals_add(ret_totals, &c->counted);
	}
}

void heap_clients_remove(struct heap_clients *clients, struct heap_client *client)
{
	if (client->removed)
		return;
	client->removed = true;
	count_totals(client);
	heap_totals_add(&clients->ended, &client->counted);
	if (client->watch_free)
		client->watch_free(client->watch);
	if (client->prev)
		client->prev->next = client->next;
	else
		clients->first = client->next;
	if (client->next)
		client->next->prev = client->prev;
	client->prev = client->next = NULL;
	clients->count--;
	heap_client_unref(client);
}

struct heap_client *heap_clients_first(struct heap_clients *clients)
{
	return clients->first;
}

struct heap_refusals *heap_clients_refused(struct heap_clients *clients)
{
	return &clients->refused;
}

void heap_clients_keep_modules(const struct heap_clients *clients, struct module_table *modules)
{
	for (const struct heap_client *c = clients->first; c; c = c->next)
		for (size_t i = 0; i < c->n_modules; i++)
			module_keep_id(modules, c->modules[i]);
}

size_t heap_clients_count(const struct heap_clients *clients)
{
	return clients->count;
}

struct heap_client *heap_clients_find(struct heap_clients *clients, pid_t pid)
{
	struct heap_client *dead = NULL;

	for (struct heap_client *c = clients->first; c; c = c->next) {
		if (c->pid == pid && !c->dead)
			return c;
		if (c->pid == pid)
			dead = c;
	}
	return dead;
}

bool heap_client_is_running(const struct heap_client *client)
{
	struct pollfd ended = {.fd = client->pid_fd, .events = POLLIN};

	return !client->dead && client->pid_fd >= 0 && poll(&ended, 1, 0) == 0;
}

/* What only a process that is still there can tell. */
static int read_identity(struct keeper *keeper, struct heap_client *c)
{
	c->pid_fd = keeper_open_process(keeper, c->pid);
	if (c->pid_fd < 0)
		return c->pid_fd;
	return process_read_identity(keeper, c->pid, &c->start_ticks, c->comm);
}

void heap_client_learn(struct heap_clients *clients, struct heap_client *c)
{
	if (c->learnt || c->dead)
		return;
	c->learnt = true;
	(void)process_read_unit(clients->keeper, c->pid, &c->unit); /* none is an answer too */
	if (process_find_oom_count(clients->keeper, c->pid, &c->oom_path) == 0)
		(void)process_read_oom_count(c->oom_path, &c->oom_kills);
}

void heap_clients_learn(struct heap_clients *clients)
{
	for (struct heap_client *c = clients->first; c; c = c->next)
		heap_client_learn(clients, c);
}

/* Who is this? A process that has ended, before we looked or while we did, is
 * dead on arrival: its table still counts. */
static int identify(struct keeper *keeper, struct heap_client *c)
{
	int r = read_identity(keeper, c);
	uid_t uid;

	/* It has changed its user since it spoke, or is a setuid program; or it has
	 * ended, and what has its pid now is another user's. */
	if (r >= 0 && (process_read_uid(keeper, c->pid, &uid) < 0 || uid != c->uid))
		c->uid = 0;
	if (r != -ESRCH && r != -ENOENT)
		return r;
	c->dead = true;
	snprintf(c->comm, sizeof(c->comm), "exited");
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static void link_client(struct heap_clients *clients, struct heap_client *c)
{
	struct heap_client *before = heap_clients_find(clients, c->pid);

	if (before && !before->dead && !c->dead) /* it has called exec: a new program, a new heap */
		heap_clients_remove(clients, before);
	c->next = clients->first;
	if (c->next)
		c->next->prev = c;
	clients->first = c;
	clients->count++;
}

/* Takes over @table_fd. */
static int new_client(pid_t pid, uid_t uid, int table_fd, const struct heap_header *header,
		      struct heap_client **ret_client)
{
	struct heap_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(table_fd);
		return -ENOMEM;
	}
	c->users = 1;
	c->pid = pid;
	c->uid = uid;
	c->pid_fd = -1;
	c->table_fd = table_fd;
	c->rate_bytes = header->rate_bytes;
	c->start_unix_ns = (int64_t)header->start_unix_ns;
	*ret_client = c;
	return 0;
}

int heap_clients_add(struct heap_clients *clients, pid_t pid, uid_t uid, int table_fd,
		     struct heap_client **ret_client)
{
	_cleanup_close_ int fd = table_fd;
	struct heap_client *known = heap_clients_find(clients, pid), *c;
	struct heap_header header;
	int r;

	if (clients->count >= PROFD_MAX_CLIENTS)
		return -ENOSPC;
	r = heap_table_check(fd, &header);
	if (r == -EPROTONOSUPPORT &&
	    !heap_refusals_add(&clients->refused, clients->keeper, pid, uid, header.version))
		return -EEXIST;
	if (r < 0)
		return r;
	if (known && same_file(known->table_fd, fd))
		return -EEXIST;
	r = new_client(pid, uid, take_fd(&fd), &header, &c);
	if (r < 0)
		return r;
	r = identify(clients->keeper, c);
	if (r < 0) {
		heap_client_unref(c);
		return r;
	}
	heap_refusals_forget(&clients->refused, pid);
	heap_waits_forget(c->table_fd, &header);
	link_client(clients, c);
	*ret_client = c;
	return 0;
}

int heap_client_identity(const struct heap_client *c, struct heap_identity *ret_id)
{
	struct heap_identity id = {.pid = c->pid, .uid = c->uid, .start_ticks = c->start_ticks};
	struct stat st;

	if (fstat(c->table_fd, &st) < 0)
		return -errno;
	id.inode = st.st_ino;
	memcpy(id.comm, c->comm, sizeof(id.comm));
	*ret_id = id;
	return 0;
}

/* Is the process that had the table still there? */
static void find_again(struct keeper *keeper, const struct heap_identity *id, struct heap_client *c)
{
	if (read_identity(keeper, c) == 0 && c->start_ticks == id->start_ticks)
		return;
	profd_closep(&c->pid_fd);
	c->pid_fd = -1;
	c->start_ticks = id->start_ticks;
	memcpy(c->comm, id->comm, sizeof(c->comm));
	c->dead = c->unseen = true;
}

int heap_clients_restore(struct heap_clients *clients, const struct heap_identity *id, int table_fd,
			 struct heap_client **ret_client)
{
	_cleanup_close_ int fd = table_fd;
	struct heap_header header;
	struct heap_client *c;
	struct stat st;
	int r;

	if (clients->count >= PROFD_MAX_CLIENTS)
		return -ENOSPC;
	r = heap_table_check(fd, &header);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || st.st_ino != id->inode)
		return -EBADMSG;
	for (c = clients->first; c; c = c->next)
		if (same_file(c->table_fd, fd))
			return -EEXIST;
	r = new_client(id->pid, id->uid, take_fd(&fd), &header, &c);
	if (r < 0)
		return r;
	find_again(clients->keeper, id, c);
	heap_waits_forget(c->table_fd, &header);
	link_client(clients, c);
	*ret_client = c;
	return 0;
}

/* The mapping of a heap table called @name in @maps (/proc/PID/maps), if there is one. */
static bool find_table(FILE *maps, const char *name, uint64_t *ret_start, uint64_t *ret_end)
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, maps) > 0) {
		const char *path = strstr(line, "/memfd:");

		line[strcspn(line, "\n")] = '\0';
		if (path && heap_name_is_mapped(path, name) && strstr(line, " 00000000 ") &&
		    sscanf(line, "%lx-%lx", ret_start, ret_end) == 2)
			return true;
	}
	return false;
}

static int open_table(struct heap_clients *clients, pid_t pid, const char *name)
{
	int fd = keeper_open_file(clients->keeper, pid, KEEPER_MAPS);
	uint64_t start, end;
	FILE *maps;
	bool found;

	if (fd < 0)
		return fd;
	maps = fdopen(fd, "re");
	if (!maps) {
		close(fd);
		return -ENOMEM;
	}
	found = find_table(maps, name, &start, &end);
	fclose(maps);
	return found ? keeper_open_table(clients->keeper, pid, start, end) : -ENOENT;
}

struct scan {
	struct heap_clients *clients;
	void (*found)(pid_t pid, uid_t uid, int table_fd, void *userdata);
	void *userdata;
	char name[HEAP_NAME_BYTES];
	int n;
};

static void on_scanned(pid_t pid, void *userdata)
{
	struct scan *scan = userdata;
	int table = open_table(scan->clients, pid, scan->name);
	uid_t uid;

	if (table < 0)
		return;
	if (process_read_uid(scan->clients->keeper, pid, &uid) < 0) {
		close(table);
		return;
	}
	scan->found(pid, uid, table, scan->userdata);
	scan->n++;
}

int heap_clients_scan(struct heap_clients *clients, const char *socket_path,
		      void (*found)(pid_t pid, uid_t uid, int table_fd, void *userdata),
		      void *userdata)
{
	struct scan scan = {.clients = clients, .found = found, .userdata = userdata};
	int r;

	heap_name_of(socket_path, scan.name);
	r = process_each_pid(clients->keeper, on_scanned, &scan);
	return r < 0 ? r : scan.n;
}
