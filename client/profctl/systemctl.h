/*
 * Asking systemd, through systemctl: the only way in that needs no library, works
 * where no D-Bus daemon runs, and is bound by the same rules as the administrator.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether systemd is this machine's service manager. */
bool systemctl_is_there(void);

/* Runs systemctl with @args, which end with NULL, in an environment of its own.
 * Returns 0; -EIO: it ended with an error; else -errno: it could not be run.
 * *ret_output is what it said (on standard error, where it failed), malloc'd;
 * it is set for 0 and -EIO, and @ret_output may be NULL. */
int systemctl_run(const char *const *args, char **ret_output);

/* A unit's properties, as "systemctl show" prints them: lines of KEY=VALUE. */
struct unit {
	char *text;
};

/* @name: a valid name, not a template's. A unit that does not exist has properties,
 * too (LoadState=not-found). Returns as systemctl_run() does; *ret_why is what
 * systemctl said for -EIO, malloc'd. */
int unit_load(const char *name, struct unit *ret_unit, char **ret_why);
void unit_done(struct unit *unit);

/* The value of @key after *position, which starts as NULL, and moves it on; there may
 * be several of one key (ExecStart). Returns 0 and a malloc'd string, -ENOENT or -ENOMEM. */
int unit_next(const struct unit *unit, const char *key, const char **position, char **ret_value);
/* The first one. NULL: there is none, or no memory. Malloc'd. */
char *unit_value(const struct unit *unit, const char *key);
bool unit_is(const struct unit *unit, const char *key, const char *value);

/* The value of variable @name in @list, which is quoted as "systemctl show" quotes
 * Environment=: NULL: it is not there, or no memory. Malloc'd. */
char *unit_variable(const char *list, const char *name);

/* Words are separated by spaces and quoted as in a shell: the next one at *p, which moves
 * on. Returns 0 and a malloc'd string, -ENOENT: no more, or -ENOMEM. */
int unit_word(const char **p, char **ret_word);

/* Whether @name can be a service's: with ".service" at its end, and no byte that has
 * a meaning in a path. */
bool unit_name_is_valid(const char *name);
/* "foo@.service": has instances, and is none. */
bool unit_name_is_template(const char *name);
