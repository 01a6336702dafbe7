/*
 * A hash takes milliseconds on purpose. So what was right last is kept, and one
 * is computed at a time: who guesses passwords gets one processor, not all.
 */
#include "client/http/password.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"

#define PASSWORDS_MAX	   64
#define PASSWORD_MAX_BYTES 256

struct entry {
	char *name, *hash;
};

struct passwords {
	pthread_mutex_t lock;
	struct entry entries[PASSWORDS_MAX];
	size_t n;
	char last[2 * PASSWORD_MAX_BYTES + 2]; /* name, 0, password: was right; else empty */
	struct crypt_data data;
};

void passwords_free(struct passwords *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		free(p->entries[i].name);
		free(p->entries[i].hash);
	}
	pthread_mutex_destroy(&p->lock);
	explicit_bzero(p, sizeof(*p));
	free(p);
}

/* Two letters of a password in clear text are a salt to crypt(3), of a method that
 * is not one any more; so only what names its method counts. */
static bool is_known(struct passwords *p, const char *hash)
{
	const char *out = *hash == '$' ? crypt_r("", hash, &p->data) : NULL;

	return out && *out != '*' && strlen(out) == strlen(hash);
}

static int add_line(struct passwords *p, char *line)
{
	struct entry *e = &p->entries[p->n];
	char *colon;

	line[strcspn(line, "\r\n")] = '\0';
	if (!*line || *line == '#')
		return 0;
	colon = strchr(line, ':');
	if (!colon || colon == line || !colon[1] || p->n == PASSWORDS_MAX)
		return -EBADMSG;
	*colon = '\0';
	if (!is_known(p, colon + 1))
		return -EBADMSG;
	e->name = strdup(line);
	e->hash = strdup(colon + 1);
	p->n++; /* whose parts are freed, also if one is missing */
	return e->name && e->hash ? 0 : -ENOMEM;
}

int passwords_read(const char *path, struct passwords **ret_passwords)
{
	struct passwords *p = calloc(1, sizeof(*p));
	char line[1024];
	int r = 0;
	FILE *f;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	f = fopen(path, "re");
	if (!f)
		r = -errno;
	while (r >= 0 && f && fgets(line, sizeof(line), f))
		r = add_line(p, line);
	if (r >= 0 && ferror(f))
		r = -EIO;
	if (r >= 0 && p->n == 0)
		r = -EBADMSG;
	if (f)
		fclose(f);
	explicit_bzero(line, sizeof(line));
	if (r < 0)
		passwords_free(p);
	else
		*ret_passwords = p;
	return r;
}

/* Every byte is looked at, whatever the first ones are. */
static bool same(const char *a, const char *b, size_t n)
{
	unsigned char differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return differ == 0;
}

static bool check(struct passwords *p, const char *name, const char *password)
{
	const struct entry *e = &p->entries[0]; /* a hash to take the time of */
	bool known = false;
	const char *out;

	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->entries[i].name, name) == 0) {
			e = &p->entries[i];
			known = true;
		}
	out = crypt_r(password, e->hash, &p->data);
	return out && strlen(out) == strlen(e->hash) && same(out, e->hash, strlen(out)) && known;
}

bool passwords_check(struct passwords *p, const char *name, const char *password)
{
	char pair[sizeof(p->last)] = "";
	size_t n = strlen(name), m = strlen(password);
	bool right;

	if (n == 0 || n > PASSWORD_MAX_BYTES || m > PASSWORD_MAX_BYTES)
		return false;
	memcpy(pair, name, n + 1);
	memcpy(pair + n + 1, password, m + 1);
	pthread_mutex_lock(&p->lock);
	right = same(pair, p->last, sizeof(pair));
	if (!right && check(p, name, password)) {
		memcpy(p->last, pair, sizeof(pair));
		right = true;
	}
	pthread_mutex_unlock(&p->lock);
	explicit_bzero(pair, sizeof(pair));
	return right;
}
