/*
 * One step by libunwind, for the rows that only a full DWARF machine
 * understands. It is let see nothing but the registers, the copy of the stack
 * and the module's unwind information.
 */
#pragma once

#include <stdint.h>

#include "daemon/stack/step.h"
#include "proto/cfi.h"

struct remote;

int remote_new(struct remote **ret_remote);
void remote_free(struct remote *remote);

/* Steps from *s, whose code belongs to @cfi's module, loaded at @bias (run-time
 * address minus ELF address). Returns as the steps of step.h do; -ENOTSUP: the
 * module has no table for libunwind to search; -EBADMSG: libunwind gave up. */
int remote_step(struct remote *remote, const struct cfi_module *cfi, uint64_t bias, struct step *s);
