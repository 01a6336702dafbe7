/*
 * The first byte tells the kinds apart. A build-id is taken at its word: whoever
 * puts another file's build-id into his own gets that file's names, and modules
 * are told apart by it already when they are first seen.
 */
#include "daemon/scribe/file_key.h"

#include <string.h>
#include <sys/stat.h>

#include "profd/base.h"

enum key_kind { KEY_BUILD_ID = 'b', KEY_INODE = 'i', KEY_KERNEL = 'k', KEY_MODULE = 'm' };

#define CONTENTS_BYTES 16 /* of size and time */
#define PART_BYTES     32 /* and of device and inode */

static void start(struct file_key *key, enum key_kind kind)
{
	*key = (struct file_key){.bytes = {(uint8_t)kind}, .n = 1};
}

static void add(struct file_key *key, const void *bytes, size_t n)
{
	memcpy(key->bytes + key->n, bytes, n);
	key->n += n;
}

static void add_number(struct file_key *key, uint64_t number)
{
	add(key, &number, sizeof(number));
}

void file_key_of_module(const struct module *module, struct file_key *ret_key)
{
	struct file_key key;

	/* Without anything better: this module, whose number nobody else gets. */
	start(&key, KEY_MODULE);
	switch (module->kind) {
	case MODULE_FILE:
	case MODULE_VDSO:
		if (module->build_id_bytes > 0) {
			start(&key, KEY_BUILD_ID);
			add(&key, module->build_id, module->build_id_bytes);
		} else if (module->inode != 0) {
			start(&key, KEY_INODE);
			add_number(&key, module->dev);
			add_number(&key, module->inode);
			add_number(&key, module->inode_generation);
		}
		break;
	case MODULE_KERNEL:
		start(&key, KEY_KERNEL);
		break;
	case MODULE_JIT:
	case MODULE_NOTE:
		break;
	}
	if (key.bytes[0] == KEY_MODULE)
		add_number(&key, module->id);
	*ret_key = key;
}

static void add_contents(struct file_key *key, const struct stat *st)
{
	add_number(key, (uint64_t)st->st_size);
	add_number(key,
		   (uint64_t)st->st_ctim.tv_sec * NSEC_PER_SEC + (uint64_t)st->st_ctim.tv_nsec);
}

void file_key_of_contents(const uint8_t *bytes, size_t n, int fd, struct file_key *ret_key)
{
	struct file_key key = {};
	struct stat st;

	/* What is only a module may be other code by now (a perf-map). */
	if (n > 0 && n <= FILE_KEY_MAX && bytes[0] != KEY_MODULE)
		add(&key, bytes, n);
	if (key.n > 0 && key.bytes[0] == KEY_INODE) {
		if (fstat(fd, &st) < 0 || key.n + CONTENTS_BYTES > FILE_KEY_MAX) {
			key.n = 0;
		} else {
			add_contents(&key, &st);
		}
	}
	*ret_key = key;
}

void file_key_add_part(struct file_key *key, int fd)
{
	struct stat st;

	if (key->n == 0 || fd < 0)
		return;
	if (fstat(fd, &st) < 0 || key->n + PART_BYTES > sizeof(key->bytes)) {
		key->n = 0;
		return;
	}
	add_number(key, st.st_dev);
	add_number(key, st.st_ino);
	add_contents(key, &st);
}

void file_key_add_number(struct file_key *key, uint64_t number)
{
	if (key->n == 0)
		return;
	if (key->n + sizeof(number) > sizeof(key->bytes))
		key->n = 0;
	else
		add_number(key, number);
}
