/*
 * What the application interface asks, and the beginning of what it is answered, byte by
 * byte, for the preload client may not depend on protobuf-c (proto/control.proto).
 */
#include <string.h>

#include "proto/control.h"

enum { /* a field's number, and that a length follows or a varint */
       TAG_REQUEST_SNAPSHOT = 2 << 3 | 2,
       TAG_REQUEST_STATUS = 4 << 3 | 2,
       TAG_REQUEST_STOP = 7 << 3 | 2,
       TAG_SNAPSHOT_TYPES = 1 << 3 | 2,
       TAG_SNAPSHOT_NO_TRIM = 8 << 3 | 0,
       TAG_SNAPSHOT_SEND_FILES = 9 << 3 | 0,
       TAG_SNAPSHOT_OWN = 10 << 3 | 0,
       TAG_SNAPSHOT_UNTIL_STOPPED = 11 << 3 | 0,
       TAG_ERROR_CODE = 1 << 3 | 0,
};

static size_t put_flag(uint8_t *at, uint8_t tag, bool flag)
{
	if (!flag)
		return 0;
	at[0] = tag;
	at[1] = 1;
	return 2;
}

size_t control_ask_encode(const struct control_ask *ask, uint8_t *ret, size_t size)
{
	size_t type_bytes = strlen(ask->type), n = 2;

	if (size < CONTROL_ASK_BYTES || type_bytes > CONTROL_ASK_BYTES - 16)
		return 0;
	ret[n++] = TAG_SNAPSHOT_TYPES;
	ret[n++] = (uint8_t)type_bytes;
	memcpy(ret + n, ask->type, type_bytes);
	n += type_bytes;
	n += put_flag(ret + n, TAG_SNAPSHOT_NO_TRIM, ask->no_trim);
	n += put_flag(ret + n, TAG_SNAPSHOT_SEND_FILES, ask->send_files);
	n += put_flag(ret + n, TAG_SNAPSHOT_OWN, true);
	n += put_flag(ret + n, TAG_SNAPSHOT_UNTIL_STOPPED, ask->until_stopped);
	ret[0] = TAG_REQUEST_SNAPSHOT;
	ret[1] = (uint8_t)(n - 2);
	return n;
}

size_t control_ask_status(uint8_t *ret)
{
	ret[0] = TAG_REQUEST_STATUS;
	ret[1] = 0;
	return 2;
}

size_t control_ask_stop(uint8_t *ret)
{
	ret[0] = TAG_REQUEST_STOP;
	ret[1] = 0;
	return 2;
}

static size_t read_varint(const uint8_t *bytes, size_t n, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && i < 10; i++) {
		value |= (uint64_t)(bytes[i] & 0x7f) << 7 * i;
		if (!(bytes[i] & 0x80)) {
			*ret = value;
			return i + 1;
		}
	}
	return 0;
}

enum control_answer control_answer_read(const uint8_t *bytes, size_t n, int *ret_error)
{
	uint64_t length, code;
	size_t at;

	if (n < 2 || (bytes[0] & 7) != 2)
		return CONTROL_ANSWER_BAD;
	if (bytes[0] >> 3 != CONTROL_ANSWER_ERROR)
		return bytes[0] >> 3 <= CONTROL_ANSWER_ENDED ? (enum control_answer)(bytes[0] >> 3)
							     : CONTROL_ANSWER_BAD;
	at = read_varint(bytes + 1, n - 1, &length);
	*ret_error = 0;
	if (at > 0 && 1 + at < n && bytes[1 + at] == TAG_ERROR_CODE &&
	    read_varint(bytes + 2 + at, n - 2 - at, &code) > 0)
		*ret_error = (int)code;
	return CONTROL_ANSWER_ERROR;
}
