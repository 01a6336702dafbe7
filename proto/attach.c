/*
 * The one message that the preload client sends, written byte by byte: it may
 * not depend on protobuf-c. A Request whose verb is Attach (proto/control.proto).
 */
#include "proto/control.h"

enum { /* a field's number, and that a length follows or a varint */
       TAG_REQUEST_ATTACH = 1 << 3 | 2,
       TAG_TABLE_VERSION = 1 << 3 | 0,
};

#define ATTACH_MAX_BYTES 8 /* two tags, a length, a varint of 32 bits */

size_t control_attach_encode(uint32_t table_version, uint8_t *ret, size_t size)
{
	size_t n = 2;

	if (size < ATTACH_MAX_BYTES)
		return 0;
	if (table_version != 0) { /* proto3 leaves a zero out */
		ret[n++] = TAG_TABLE_VERSION;
		for (; table_version >= 0x80; table_version >>= 7)
			ret[n++] = (uint8_t)(table_version | 0x80);
		ret[n++] = (uint8_t)table_version;
	}
	ret[0] = TAG_REQUEST_ATTACH;
	ret[1] = (uint8_t)(n - 2);
	return n;
}
