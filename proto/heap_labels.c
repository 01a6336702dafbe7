/*
 * The labels of a program's threads, out of its heap table. The text is anything: it
 * is copied, then cut into strings within its bounds, and what could be mistaken for
 * something else is put right. A byte that is no character becomes U+FFFD, a control
 * character '_' (so the separator is in none), and a pair whose key is empty, profd's
 * own or there already is left out.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "proto/heap_table.h"
#include "proto/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define CLEAN_BYTES (sizeof(REPLACEMENT) - 1) /* the most that one may become */

struct clean { /* the set being made */
	char text[HEAP_LABELS_MAX_BYTES * CLEAN_BYTES + 1];
	size_t bytes;
	size_t keys[HEAP_LABELS_MAX_PAIRS]; /* where they begin */
	unsigned n_pairs;
};

/* @s with its terminator, cleaned, behind what is there. Empty: an empty string. */
static void append(struct clean *c, const char *s)
{
	while (*s) {
		size_t n = utf8_char_bytes((const uint8_t *)s);

		if (n == 0) {
			memcpy(c->text + c->bytes, REPLACEMENT, CLEAN_BYTES);
			c->bytes += CLEAN_BYTES;
			s++;
			continue;
		}
		for (size_t i = 0; i < n; i++)
			c->text[c->bytes++] = iscntrl((unsigned char)s[i]) ? '_' : s[i];
		s += n;
	}
	c->text[c->bytes++] = HEAP_LABEL_SEPARATOR;
}

static bool is_key(const struct clean *c, size_t key, size_t bytes)
{
	static const char *const reserved[] = {HEAP_LABEL_RESERVED};
	const char *k = c->text + key;

	if (bytes == 0 || strncmp(k, HEAP_LABEL_PREFIX, strlen(HEAP_LABEL_PREFIX)) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (bytes == strlen(reserved[i]) && memcmp(k, reserved[i], bytes) == 0)
			return false;
	for (unsigned i = 0; i < c->n_pairs; i++) /* the separator included */
		if (memcmp(c->text + c->keys[i], k, bytes + 1) == 0)
			return false;
	return true;
}

static void append_pair(struct clean *c, const char *key, const char *value)
{
	size_t start = c->bytes, bytes;

	append(c, key);
	bytes = c->bytes - start - 1;
	if (!*value || !is_key(c, start, bytes)) {
		c->bytes = start;
		return;
	}
	c->keys[c->n_pairs++] = start;
	append(c, value);
}

/* @text is NUL-terminated behind its @bytes. Returns what the set stands for, or NULL:
 * nothing. */
static int clean_set(const char *text, size_t bytes, char **ret)
{
	const char *end = text + bytes, *key, *value;
	struct clean c = {0};

	while (text < end && c.n_pairs < HEAP_LABELS_MAX_PAIRS) {
		key = text;
		value = key + strlen(key) + 1;
		if (value >= end)
			break;
		text = value + strlen(value) + 1;
		append_pair(&c, key, value);
	}
	*ret = c.n_pairs ? strndup(c.text, c.bytes) : NULL;
	return c.n_pairs && !*ret ? -ENOMEM : 0;
}

static int copy_set(const struct heap_label_set *set, const char *text, size_t n_text, char **ret)
{
	char own[HEAP_LABELS_MAX_BYTES + 1];

	*ret = NULL;
	if (!set->ready || set->text_bytes > HEAP_LABELS_MAX_BYTES || set->text_offset > n_text ||
	    set->text_bytes > n_text - set->text_offset)
		return 0;
	memcpy(own, text + set->text_offset, set->text_bytes);
	own[set->text_bytes] = '\0';
	return clean_set(own, set->text_bytes, ret);
}

/* The used part of a region, @most records of it. */
static int read_used(int fd, const struct heap_header *h, const struct heap_region *r,
		     uint32_t stride, uint32_t most, void **ret, size_t *ret_n)
{
	uint32_t n = min(r->used, r->capacity);
	char *p;

	n = min(n, most);
	if (n > 0 && (r->stride != stride || r->offset < sizeof(*h) || r->offset > h->table_bytes ||
		      (uint64_t)n * stride > h->table_bytes - r->offset))
		return -EBADMSG;
	p = calloc(n + 1u, stride);
	if (!p)
		return -ENOMEM;
	(void)!pread(fd, p, (size_t)n * stride, (off_t)r->offset); /* what is missing: zeros */
	*ret = p;
	*ret_n = n;
	return 0;
}

/* Sets before text: all that they refer to was there when they were read. */
int heap_table_labels(int fd, const struct heap_header *header, struct heap_copy_labels *ret_labels)
{
	_cleanup_free_ struct heap_label_set *sets = NULL;
	_cleanup_free_ char *text = NULL;
	struct heap_copy_labels labels = {0};
	struct heap_header now;
	size_t n_sets, n_text;
	int r;

	if (!header->labels.on) {
		*ret_labels = labels;
		return 0;
	}
	r = read_used(fd, header, &header->labels.sets, sizeof(*sets), HEAP_LABELS_MAX_SETS,
		      (void **)&sets, &n_sets);
	if (r >= 0)
		r = heap_table_header(fd, &now);
	if (r < 0)
		return r;
	now.table_bytes = header->table_bytes;
	r = read_used(fd, &now, &now.labels.text, 1, HEAP_LABELS_MAX_TEXT, (void **)&text, &n_text);
	if (r < 0)
		return r;
	labels.sets = calloc(n_sets + 1, sizeof(*labels.sets));
	if (!labels.sets)
		return -ENOMEM;
	for (; r >= 0 && labels.n_sets < n_sets; labels.n_sets++)
		r = copy_set(&sets[labels.n_sets], text, n_text, &labels.sets[labels.n_sets]);
	if (r < 0) {
		heap_copy_labels_done(&labels);
		return r;
	}
	*ret_labels = labels;
	return 0;
}

void heap_copy_labels_done(struct heap_copy_labels *labels)
{
	for (size_t i = 0; i < labels->n_sets; i++)
		free(labels->sets[i]);
	free(labels->sets);
	*labels = (struct heap_copy_labels){0};
}
