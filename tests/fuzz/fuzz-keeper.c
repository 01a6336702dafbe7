/*
 * What an engine that has been taken over may send to the keeper: each input is a
 * request. It is answered whatever it is, nothing is handed out that was refused, and
 * a request of the wrong length never succeeds.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/keeper/keeper.h"
#include "daemon/keeper/serve.h"
#include "daemon/keeper/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct serve *start(void)
{
	struct keeper *keeper;
	struct serve *s;

	if (keeper_new_local(&keeper) < 0 || serve_new(keeper, &s) < 0)
		abort();
	serve_start_engine(s, getpid());
	return s;
}

static void check(const struct wire_answer *answer, size_t bytes, size_t asked, int fd)
{
	if (bytes < sizeof(*answer) || bytes > WIRE_ANSWER_BYTES ||
	    bytes != sizeof(*answer) + answer->bytes)
		abort();
	if (answer->result > 0 || (answer->result < 0 && (fd >= 0 || answer->bytes > 0)))
		abort();
	if (answer->result == 0 && (asked < sizeof(struct wire_head) || asked > WIRE_REQUEST_BYTES))
		abort();
	if (fd >= 0 && close(fd) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct serve *s;
	const void *answer;
	size_t bytes;
	int fd;

	if (!s)
		s = start();
	bytes = serve_answer(s, data, size, -1, &answer, &fd);
	check(answer, bytes, size, fd);
	return 0;
}
