/*
 * Names and passwords of those who may ask: a file of lines "name:hash", hashes
 * as crypt(3) has them (mkpasswd, openssl passwd -6, htpasswd -B). Empty lines
 * and those that begin with '#' do not count. Safe from any thread.
 */
#pragma once

#include <stdbool.h>

struct passwords;

/* Returns 0; -EBADMSG: a line is none of these, or there is none, or a hash is one
 * that crypt(3) does not know; or what open() and read() say. */
int passwords_read(const char *path, struct passwords **ret_passwords);
void passwords_free(struct passwords *p);

/* Whether the pair is right. Takes as long for a name that is not there. */
bool passwords_check(struct passwords *p, const char *name, const char *password);
