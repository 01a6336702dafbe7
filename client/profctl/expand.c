#include "client/profctl/expand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"
#include "proto/publish.h"

/* What %@letter stands for; @buffer is room for it. NULL: nothing. */
static const char *look_up(char letter, const struct expand *values, char *buffer, size_t size)
{
	switch (letter) {
	case 'p':
		snprintf(buffer, size, "%d", (int)values->pid);
		return buffer;
	case 'h':
		return values->host;
	case 't':
		publish_stamp(values->unix_ns, buffer, size);
		return buffer;
	case '%':
		return "%";
	default:
		return NULL;
	}
}

int expand_name(const char *name, const struct expand *values, char **ret_name)
{
	char result[PROFD_MAX_PATH], buffer[PUBLISH_STAMP_BYTES];
	size_t n = 0;

	for (const char *p = name; *p != '\0'; p++) {
		const char *piece = buffer;
		size_t n_piece;

		if (*p == '%') {
			piece = look_up(*++p, values, buffer, sizeof(buffer));
			if (!piece)
				return -EINVAL;
			n_piece = strlen(piece);
		} else {
			buffer[0] = *p;
			n_piece = 1;
		}
		if (n + n_piece >= sizeof(result))
			return -ENAMETOOLONG;
		memcpy(result + n, piece, n_piece);
		n += n_piece;
	}
	result[n] = '\0';
	*ret_name = strdup(result);
	return *ret_name ? 0 : -ENOMEM;
}

bool expand_has(const char *name, char letter)
{
	for (const char *p = name; *p != '\0'; p++) {
		if (*p != '%')
			continue;
		p++;
		if (*p == letter)
			return true;
		if (*p == '\0')
			break;
	}
	return false;
}
