#include "client/http/connection.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "profd/base.h"
#include "profd/limits.h"

static uint64_t now_ms(void)
{
	return clock_mono_ns() / NSEC_PER_MSEC;
}

void connections_init(struct connections *c)
{
	*c = (struct connections){};
	pthread_mutex_init(&c->lock, NULL);
}

void connections_done(struct connections *c)
{
	while (c->first)
		connection_free(c, c->first);
	pthread_mutex_destroy(&c->lock);
}

struct connection *connection_new(struct connections *c, int fd)
{
	struct connection *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	new->fd = fd;
	new->deadline_ms = now_ms() + PROFD_HTTP_REQUEST_SECONDS * 1000;
	pthread_mutex_lock(&c->lock);
	new->next = c->first;
	if (new->next)
		new->next->prev = new;
	c->first = new;
	c->n++;
	pthread_mutex_unlock(&c->lock);
	return new;
}

void connection_free(struct connections *c, struct connection *connection)
{
	if (!connection)
		return;
	pthread_mutex_lock(&c->lock);
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		c->first = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	c->n--;
	pthread_mutex_unlock(&c->lock);
	free(connection);
}

void connection_set_deadline(struct connections *c, struct connection *connection, uint64_t seconds)
{
	if (!connection)
		return;
	pthread_mutex_lock(&c->lock);
	connection->deadline_ms = seconds > 0 ? now_ms() + seconds * 1000 : 0;
	pthread_mutex_unlock(&c->lock);
}

/* The library sees the end of the connection and closes it; the descriptor is its
 * own and is open as long as the connection is in the list. */
void connections_tick(struct connections *c)
{
	uint64_t now = now_ms();

	pthread_mutex_lock(&c->lock);
	for (struct connection *at = c->first; at; at = at->next) {
		if (at->deadline_ms == 0 || at->deadline_ms > now)
			continue;
		shutdown(at->fd, SHUT_RDWR);
		at->deadline_ms = 0;
		c->cut_off++;
	}
	pthread_mutex_unlock(&c->lock);
}

void connections_count(struct connections *c, unsigned *ret_n, uint64_t *ret_cut_off)
{
	pthread_mutex_lock(&c->lock);
	*ret_n = c->n;
	*ret_cut_off = c->cut_off;
	pthread_mutex_unlock(&c->lock);
}
