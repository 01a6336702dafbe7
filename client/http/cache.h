/*
 * Heap profiles without a trim, for PROFD_HTTP_FRESH_MS: many who ask at once, or
 * one who asks often, make the daemon take one. Go's own heap profile is of the
 * last garbage collection, and so older as a rule.
 *
 * Who finds none under way makes it; others wait for it. Safe from any thread.
 */
#pragma once

#define CACHE_KEY_BYTES 320

struct cache;

struct cache *cache_new(void);
void cache_free(struct cache *cache);

/* Returns a descriptor of the caller's; or -ENOENT: the caller is to make the
 * profile, and to call cache_put() in any case. May wait for another who does. */
int cache_get(struct cache *cache, const char *key);

/* @fd: what was made; it stays the caller's. -1: nothing. */
void cache_put(struct cache *cache, const char *key, int fd);

/* Lets go of what is too old. */
void cache_tidy(struct cache *cache);
