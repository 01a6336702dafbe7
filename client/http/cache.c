#include "client/http/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"

enum entry_state {
	ENTRY_FREE,
	ENTRY_MAKING,
	ENTRY_READY,
};

struct entry {
	enum entry_state state;
	char key[CACHE_KEY_BYTES];
	uint64_t begun_ms; /* when its making began: it is at most that old */
	int fd;
};

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t made;
	struct entry entries[PROFD_HTTP_MAX_CACHED];
};

static uint64_t now_ms(void)
{
	return clock_mono_ns() / NSEC_PER_MSEC;
}

struct cache *cache_new(void)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c) {
		pthread_mutex_init(&c->lock, NULL);
		pthread_cond_init(&c->made, NULL);
	}
	return c;
}

static void clear(struct entry *e)
{
	if (e->state == ENTRY_READY)
		close(e->fd);
	e->state = ENTRY_FREE;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(c->entries); i++)
		clear(&c->entries[i]);
	pthread_cond_destroy(&c->made);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void drop_old(struct cache *c)
{
	uint64_t now = now_ms();

	for (size_t i = 0; i < ARRAY_SIZE(c->entries); i++)
		if (c->entries[i].state == ENTRY_READY &&
		    now - c->entries[i].begun_ms > PROFD_HTTP_FRESH_MS)
			clear(&c->entries[i]);
}

static struct entry *find(struct cache *c, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->entries); i++)
		if (c->entries[i].state != ENTRY_FREE && strcmp(c->entries[i].key, key) == 0)
			return &c->entries[i];
	return NULL;
}

/* When there is no room the caller makes one for themselves alone. */
static void begin(struct cache *c, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->entries); i++) {
		struct entry *e = &c->entries[i];

		if (e->state != ENTRY_FREE)
			continue;
		e->state = ENTRY_MAKING;
		e->begun_ms = now_ms();
		snprintf(e->key, sizeof(e->key), "%s", key);
		return;
	}
}

int cache_get(struct cache *c, const char *key)
{
	int fd = -ENOENT;
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	drop_old(c);
	while ((e = find(c, key)) && e->state == ENTRY_MAKING)
		pthread_cond_wait(&c->made, &c->lock);
	if (e)
		fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
	else
		begin(c, key);
	pthread_mutex_unlock(&c->lock);
	return e && fd < 0 ? -EMFILE : fd;
}

void cache_put(struct cache *c, const char *key, int fd)
{
	struct entry *e;

	pthread_mutex_lock(&c->lock);
	e = find(c, key);
	if (e && e->state == ENTRY_MAKING) {
		e->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		e->state = e->fd < 0 ? ENTRY_FREE : ENTRY_READY;
		pthread_cond_broadcast(&c->made);
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_tidy(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	drop_old(c);
	pthread_mutex_unlock(&c->lock);
}
