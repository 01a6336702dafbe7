/*
 * One index of names leads to the modules. A name is a byte string that says by
 * what the module is known: its build-id; device, inode and path; a process's
 * pid for code without a file; a text. A module starts with the one name that
 * it was first asked for by. When its file is opened and tells its build-id,
 * that name is added; if another module has it already, the two are one, all
 * names of the younger are led to the elder, and the younger stays behind as
 * an alias, because frames with its id may be held by someone.
 *
 * Ids count up, so the array of modules is sorted by id as it grows and stays so
 * when modules are freed (module-sweep.c) and the others close up.
 */
#include "daemon/proc/module-table.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "profd/limits.h"

#define DELETED " (deleted)"

int module_table_new(struct module_table **ret_table)
{
	struct module_table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*ret_table = table;
	return 0;
}

void module_free(struct module_table *table, struct module *m)
{
	if (m->fd >= 0) {
		close(m->fd);
		table->open_fds -= m->kind != MODULE_JIT; /* perf-maps are not counted */
	}
	module_drop_cfi(table, m);
	free(m->path);
	free(m);
}

void module_table_free(struct module_table *table)
{
	struct name *name, *next;

	if (!table)
		return;
	HASH_ITER (hh, table->names, name, next) {
		HASH_DEL(table->names, name);
		free(name);
	}
	for (size_t i = 0; i < table->n; i++)
		module_free(table, table->modules[i]);
	free(table->modules);
	free(table);
}

/* ---- names */

void name_key_start(struct name_key *k, enum name_tag tag)
{
	k->key[0] = (uint8_t)tag;
	k->bytes = 1;
}

/* The caller has checked that it fits. */
void name_key_add(struct name_key *k, const void *bytes, size_t n)
{
	memcpy(k->key + k->bytes, bytes, n);
	k->bytes += (unsigned)n;
}

struct name *module_find_name(struct module_table *table, const struct name_key *k)
{
	struct name *name;

	HASH_FIND (hh, table->names, k->key, k->bytes, name)
		;
	return name;
}

/* Leads the name to @module, whatever it led to before. */
int module_set_name(struct module_table *table, const struct name_key *k, struct module *module)
{
	struct name *name = module_find_name(table, k);

	if (!name) {
		name = calloc(1, sizeof(*name) + k->bytes);
		if (!name)
			return -ENOMEM;
		name->bytes = k->bytes;
		memcpy(name->key, k->key, k->bytes);
		HASH_ADD_KEYPTR(hh, table->names, name->key, name->bytes, name);
		if (!name->hh.tbl) {
			free(name);
			return -ENOMEM;
		}
	}
	name->module = module;
	return 0;
}

void module_redirect_names(struct module_table *table, const struct module *from, struct module *to)
{
	struct name *name, *next;

	HASH_ITER (hh, table->names, name, next)
		if (name->module == from)
			name->module = to;
}

/* ---- finding and making */

static struct module *module_make(struct module_table *table, enum module_kind kind,
				  const char *path, size_t path_bytes)
{
	struct module *m;

	if (table->n == PROFD_MAX_MODULES || table->last_id == UINT32_MAX) {
		table->refused++;
		return NULL;
	}
	if (table->n == table->room) {
		size_t room = table->room ? 2 * table->room : 64;
		void *p = realloc(table->modules, room * sizeof(*table->modules));

		if (!p)
			return NULL;
		table->modules = p;
		table->room = room;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->fd = -1;
	m->kind = kind;
	m->path = strndup(path, path_bytes);
	if (!m->path) {
		free(m);
		return NULL;
	}
	m->id = ++table->last_id;
	m->used_ns = table->swept_ns;
	table->modules[table->n++] = m;
	return m;
}

static struct module *get_named(struct module_table *table, const struct name_key *k,
				enum module_kind kind, const char *path, size_t path_bytes)
{
	struct name *name = module_find_name(table, k);
	struct module *m;

	if (name)
		return name->module;
	m = module_make(table, kind, path, path_bytes);
	if (!m)
		return NULL;
	/* Without a name it is not found again, but it is whole. */
	(void)module_set_name(table, k, m);
	return m;
}

static size_t path_without_deleted(const char *path)
{
	size_t n = strlen(path), tail = strlen(DELETED);

	if (n > tail && memcmp(path + n - tail, DELETED, tail) == 0)
		return n - tail;
	return n;
}

/* Another generation of the same inode number is another file. One that was
 * seen in /proc, which tells no generation, is taken for the same. */
static bool is_other_generation(const struct module *m, const struct module_key *key)
{
	return m->inode_generation != 0 && key->inode_generation != 0 &&
	       m->inode_generation != key->inode_generation;
}

static struct module *get_by_inode(struct module_table *table, const char *path, size_t path_bytes,
				   const struct module_key *key)
{
	uint64_t dev = key->dev, inode = key->inode;
	struct name_key k;
	struct module *m;
	struct name *name;

	name_key_start(&k, NAME_FILE);
	name_key_add(&k, &dev, sizeof(dev));
	name_key_add(&k, &inode, sizeof(inode));
	name_key_add(&k, path, path_bytes);
	name = module_find_name(table, &k);
	if (name && is_other_generation(name->module, key)) {
		HASH_DEL(table->names, name);
		free(name);
	}
	m = get_named(table, &k, MODULE_FILE, path, path_bytes);
	if (!m)
		return NULL;
	if (m->inode == 0 && m->build_id_bytes == 0) {
		m->dev = key->dev;
		m->inode = key->inode;
	}
	if (m->inode_generation == 0 && m->inode == key->inode)
		m->inode_generation = key->inode_generation;
	return m;
}

struct module *module_get_file(struct module_table *table, const char *path,
			       const struct module_key *key)
{
	size_t path_bytes = path_without_deleted(path);
	struct name_key k;
	struct module *m;

	if (path_bytes >= PROFD_MAX_PATH || key->build_id_bytes > MODULE_BUILD_ID_MAX) {
		table->refused++;
		return NULL;
	}
	if (key->build_id_bytes == 0)
		return get_by_inode(table, path, path_bytes, key);

	name_key_start(&k, NAME_BUILD_ID);
	name_key_add(&k, key->build_id, key->build_id_bytes);
	m = get_named(table, &k, MODULE_FILE, path, path_bytes);
	if (m && m->build_id_bytes == 0) {
		memcpy(m->build_id, key->build_id, key->build_id_bytes);
		m->build_id_bytes = key->build_id_bytes;
		m->dev = key->dev;
		m->inode = key->inode;
		m->inode_generation = key->inode_generation;
	}
	return m;
}

struct module *module_get_text(struct module_table *table, enum module_kind kind, const char *text)
{
	size_t n = strnlen(text, PROFD_MAX_PATH);
	struct name_key k;
	uint8_t of_kind = (uint8_t)kind;

	name_key_start(&k, NAME_TEXT);
	name_key_add(&k, &of_kind, sizeof(of_kind));
	name_key_add(&k, text, n);
	return get_named(table, &k, kind, text, n);
}

struct module *module_get_kernel(struct module_table *table)
{
	return module_get_text(table, MODULE_KERNEL, "[kernel.kallsyms]");
}

struct module *module_get_note(struct module_table *table, const char *text)
{
	return module_get_text(table, MODULE_NOTE, text);
}

struct module *module_get_jit(struct module_table *table, pid_t pid)
{
	struct name_key k;
	struct module *m;

	name_key_start(&k, NAME_JIT);
	name_key_add(&k, &pid, sizeof(pid));
	m = get_named(table, &k, MODULE_JIT, "[jit]", strlen("[jit]"));
	if (m)
		m->pid = pid;
	return m;
}

void module_forget_jit(struct module_table *table, pid_t pid)
{
	struct name_key k;
	struct name *name;

	name_key_start(&k, NAME_JIT);
	name_key_add(&k, &pid, sizeof(pid));
	name = module_find_name(table, &k);
	if (!name)
		return;
	HASH_DEL(table->names, name);
	free(name);
}

static int compare_id(const void *key, const void *item)
{
	uint32_t id = *(const uint32_t *)key, other = (*(struct module *const *)item)->id;

	return id < other ? -1 : id > other;
}

struct module *module_by_id(struct module_table *table, uint32_t id)
{
	struct module **found;

	if (table->n == 0)
		return NULL;
	found = bsearch(&id, table->modules, table->n, sizeof(struct module *), compare_id);
	return found ? *found : NULL;
}

size_t module_count(const struct module_table *table)
{
	return table->n;
}

uint64_t module_table_refused(const struct module_table *table)
{
	return table->refused;
}
