#include "proto/heap_name.h"

#include <stdint.h>
#include <string.h>

#include "profd/heap_table.h"

#define SHORT  (sizeof(HEAP_TABLE_NAME) - 1)
#define DIGITS 8
#define PREFIX "/memfd:"
#define SUFFIX " (deleted)" /* a memfd has no name in any directory */

_Static_assert(SHORT + 1 + DIGITS + 1 <= HEAP_NAME_BYTES, "the longest name fits");

static uint32_t hash_of(const char *text)
{
	uint32_t h = 0x811c9dc5;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x01000193;
	return h;
}

void heap_name_of(const char *socket_path, char ret_name[HEAP_NAME_BYTES])
{
	char *at = ret_name + SHORT;
	uint32_t h = hash_of(socket_path);

	memcpy(ret_name, HEAP_TABLE_NAME, SHORT + 1);
	if (strcmp(socket_path, DEFAULT_SOCKET_PATH) == 0)
		return;
	*at++ = '-';
	for (unsigned i = 0; i < DIGITS; i++)
		*at++ = "0123456789abcdef"[h >> (28 - 4 * i) & 15];
	*at = '\0';
}

/* How long the name is that @text begins with; 0: none of ours. */
static size_t measure(const char *text)
{
	if (strncmp(text, HEAP_TABLE_NAME, SHORT) != 0)
		return 0;
	if (text[SHORT] != '-')
		return SHORT;
	return strspn(text + SHORT + 1, "0123456789abcdef") == DIGITS ? SHORT + 1 + DIGITS : 0;
}

bool heap_name_is_mapped(const char *path, const char *name)
{
	size_t n;

	if (strncmp(path, PREFIX, strlen(PREFIX)) != 0)
		return false;
	path += strlen(PREFIX);
	n = measure(path);
	if (n == 0 || strcmp(path + n, SUFFIX) != 0)
		return false;
	return !name || (strlen(name) == n && memcmp(path, name, n) == 0);
}
