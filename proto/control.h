/*
 * Framing of the project's SEQPACKET sockets: one protobuf message a packet,
 * at most PROFD_MAX_PACKET bytes, with at most CONTROL_MAX_FDS descriptors.
 * Knows the envelope, not the verbs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#define CONTROL_MAX_FDS 4

struct control_packet {
	uint8_t *bytes; /* malloc'd */
	size_t n_bytes;
	int fds[CONTROL_MAX_FDS]; /* -1: none; close-on-exec */
	size_t n_fds;
};

/* Sends @message with @fds (which stay the caller's). Returns 0 or -errno:
 * -EAGAIN: the peer does not read; -EMSGSIZE: too large; -EPIPE: it left. */
int control_send(int socket, const ProtobufCMessage *message, const int *fds, size_t n_fds);

/* Receives one packet. Returns 0; -EAGAIN: nothing there; -ECONNRESET: end of
 * file; -EMSGSIZE, -EBADMSG: too large or truncated (nothing is kept, passed
 * descriptors are closed). @flags: MSG_DONTWAIT or 0. */
int control_recv(int socket, int flags, struct control_packet *ret_packet);
void control_packet_done(struct control_packet *packet); /* closes what was not taken */

/* Connects to the socket at @path. Returns the descriptor or -errno. */
int control_connect(const char *path);

/* The socket's path: @given, else $PROFD_SOCKET, else /run/profd/profd.sock. */
const char *control_path(const char *given);

/* The preload client's Attach, written out by hand, for it has no protobuf-c.
 * Returns the number of bytes; @size >= 16. (proto/attach.c, libc only) */
size_t control_attach_encode(uint32_t table_version, uint8_t *ret, size_t size);

/* The same of what the application interface says (proto/ask.c, libc only): a snapshot of
 * the peer's own process, a status, and the end of what goes on until it is stopped. */
#define CONTROL_ASK_BYTES 64
struct control_ask {
	const char *type;
	bool no_trim, send_files, until_stopped;
};
size_t control_ask_encode(const struct control_ask *ask, uint8_t *ret, size_t size); /* 0: bad */
size_t control_ask_status(uint8_t *ret); /* of CONTROL_ASK_BYTES, both */
size_t control_ask_stop(uint8_t *ret);

/* Which reply the first bytes of one are of; numbers as in Reply. An error's code, 0 if
 * it has none, goes to *ret_error. */
enum control_answer {
	CONTROL_ANSWER_BAD,
	CONTROL_ANSWER_ERROR,
	CONTROL_ANSWER_DONE,
	CONTROL_ANSWER_FILE,
	CONTROL_ANSWER_MISSING,
	CONTROL_ANSWER_TARGET,
	CONTROL_ANSWER_STATE,
	CONTROL_ANSWER_ENDED,
};
enum control_answer control_answer_read(const uint8_t *bytes, size_t n, int *ret_error);
