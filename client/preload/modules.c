/*
 * What is known of a module is read from its own headers, which are mapped as
 * long as the module is; they lie in its first page.
 *
 * The cache leads from where a module begins to its number in the table. Its
 * entries are two words, and the first is only right for the second and for the
 * module's identity: the loader's record of it, its end, and its build-id, which
 * is read anew each time. So a torn entry, or one of a module that has been
 * unloaded and replaced by another at the same place, is never believed.
 */
#include "client/preload/modules.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#include "client/preload/fast.h"
#include "client/preload/objects.h"
#include "client/preload/session.h"
#include "client/preload/table.h"
#include "client/preload/weight.h"

#define HEADER_BYTES 4096 /* of a module's first page */
#define NOTE_ALIGN   4
#define CACHE_PROBES 4

struct module_cached {
	uint64_t key; /* start ^ mix(value) ^ identity */
	uint64_t value;
};

#define CACHE_ENTRIES (MODULES_CACHE_BYTES / sizeof(struct module_cached))

/* value: the index, and where in the first page the build-id is (0: nowhere) */
#define CACHED_VALUE(index, note) ((uint64_t)(index) << 16 | (note))
#define CACHED_INDEX(value)	  ((uint32_t)((value) >> 16))
#define CACHED_NOTE(value)	  ((uint32_t)((value)&0xffff))

/* The program headers, or NULL: this is no ELF file's beginning. */
static const Elf64_Phdr *program_headers(const struct object *o, unsigned *ret_n)
{
	const Elf64_Ehdr *ehdr = (const Elf64_Ehdr *)o->start;

	*ret_n = o->n_headers;
	if (o->headers)
		return o->headers;
	if (o->end - o->start < sizeof(*ehdr) || memcmp(ehdr->e_ident, ELFMAG, SELFMAG) != 0 ||
	    ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_phentsize != sizeof(Elf64_Phdr))
		return NULL;
	if (ehdr->e_phoff < sizeof(*ehdr) || ehdr->e_phoff > HEADER_BYTES ||
	    ehdr->e_phnum > (HEADER_BYTES - ehdr->e_phoff) / sizeof(Elf64_Phdr))
		return NULL;
	*ret_n = ehdr->e_phnum;
	return (const Elf64_Phdr *)(o->start + ehdr->e_phoff);
}

/* The segment that holds @vaddr; NULL: none does. Between them there may be holes. */
static const Elf64_Phdr *find_segment(const struct object *o, uint64_t vaddr)
{
	unsigned n = 0;
	const Elf64_Phdr *ph = program_headers(o, &n);

	for (unsigned i = 0; ph && i < n; i++)
		if (ph[i].p_type == PT_LOAD && vaddr >= ph[i].p_vaddr &&
		    vaddr - ph[i].p_vaddr < ph[i].p_filesz)
			return &ph[i];
	return NULL;
}

/* Looks for the build-id in the notes from @at to @end. */
static const uint8_t *find_build_id(uint64_t at, uint64_t end, uint32_t *ret_bytes)
{
	while (end - at >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
		uint64_t name = at + sizeof(*note);
		uint64_t desc =
			name + ((note->n_namesz + NOTE_ALIGN - 1ULL) & ~(NOTE_ALIGN - 1ULL));
		uint64_t next =
			desc + ((note->n_descsz + NOTE_ALIGN - 1ULL) & ~(NOTE_ALIGN - 1ULL));

		if (next > end)
			return NULL;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp((const void *)name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
			*ret_bytes = note->n_descsz;
			return (const uint8_t *)desc;
		}
		at = next;
	}
	return NULL;
}

static void read_notes(const struct object *o, const Elf64_Phdr *ph, struct heap_module *module,
		       uint32_t *ret_note)
{
	const Elf64_Phdr *segment = find_segment(o, ph->p_vaddr);
	uint64_t start = o->bias + ph->p_vaddr;
	const uint8_t *id;
	uint32_t bytes = 0;

	if (!segment || ph->p_filesz > segment->p_filesz - (ph->p_vaddr - segment->p_vaddr) ||
	    start % NOTE_ALIGN != 0 || module->build_id_bytes)
		return;
	id = find_build_id(start, start + ph->p_filesz, &bytes);
	if (!id || bytes == 0)
		return;
	module->build_id_bytes = bytes < HEAP_BUILD_ID_MAX ? (uint8_t)bytes : HEAP_BUILD_ID_MAX;
	memcpy(module->build_id, id, module->build_id_bytes);
	if (bytes >= sizeof(uint64_t) && (uint64_t)id - o->start <= HEADER_BYTES - sizeof(uint64_t))
		*ret_note = (uint32_t)((uint64_t)id - o->start);
}

/* All but the path. */
static void read_module(const struct object *o, struct heap_module *module, uint32_t *ret_note)
{
	const Elf64_Phdr *ph;
	unsigned n = 0;

	*module = (struct heap_module){.bias = o->bias};
	*ret_note = 0;
	ph = program_headers(o, &n);
	for (unsigned i = 0; ph && i < n; i++) {
		if (ph[i].p_type == PT_NOTE)
			read_notes(o, &ph[i], module, ret_note);
		if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_X) ||
		    module->n_segments == HEAP_SEGMENT_N)
			continue;
		module->segments[module->n_segments++] = (struct heap_segment){
			.vaddr = ph[i].p_vaddr,
			.bytes = ph[i].p_memsz,
			.file_offset = ph[i].p_offset,
		};
	}
}

/* The same file loaded again keeps its number. Without a build-id it must also
 * be at the same place and have the same name. */
static bool is_same(const struct heap_module *a, const struct heap_module *b, const char *path)
{
	if (!__atomic_load_n(&b->ready, __ATOMIC_ACQUIRE) ||
	    a->build_id_bytes != b->build_id_bytes || a->n_segments != b->n_segments)
		return false;
	if (a->build_id_bytes)
		return memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
	return a->bias == b->bias && a->path_bytes == b->path_bytes &&
	       b->path_offset <= session.capacity[HEAP_REGION_STRINGS] - b->path_bytes &&
	       memcmp(path, session.strings + b->path_offset, b->path_bytes) == 0;
}

static uint32_t find_known(const struct heap_module *module, const char *path)
{
	uint32_t n = __atomic_load_n(&session.table->regions[HEAP_REGION_MODULES].used,
				     __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < n && i < session.capacity[HEAP_REGION_MODULES]; i++)
		if (is_same(module, &session.modules[i], path))
			return i;
	return HEAP_NO_MODULE;
}

/* Enters a module that the cache does not know. */
static FAST_COLD uint32_t add_module(const struct object *o, uint32_t *ret_note)
{
	const char *path = o->path[0] ? o->path : session.program;
	struct heap_module module;
	uint32_t index, ready_later;

	read_module(o, &module, ret_note);
	module.path_bytes = (uint32_t)strnlen(path, PATH_MAX - 1);
	index = find_known(&module, path);
	if (index != HEAP_NO_MODULE)
		return index;
	index = table_take(HEAP_REGION_MODULES, 1);
	if (index == TABLE_FULL) {
		session_count_lost(HEAP_LOST_MODULES);
		return HEAP_NO_MODULE;
	}
	module.path_offset = table_take(HEAP_REGION_STRINGS, module.path_bytes);
	if (module.path_offset == TABLE_FULL)
		module.path_offset = module.path_bytes = 0;
	memcpy(session.strings + module.path_offset, path, module.path_bytes);
	ready_later = offsetof(struct heap_module, ready) + sizeof(module.ready);
	memcpy((uint8_t *)&session.modules[index] + ready_later, (uint8_t *)&module + ready_later,
	       sizeof(module) - ready_later);
	__atomic_store_n(&session.modules[index].ready, 1, __ATOMIC_RELEASE);
	return index;
}

static uint64_t identity_of(const struct object *o, uint32_t note)
{
	uint64_t id = 0;

	if (note)
		memcpy(&id, (const void *)(o->start + note), sizeof(id));
	return weight_mix(id ^ o->end ^ weight_mix((uint64_t)o->identity + note));
}

static uint32_t index_of(const struct object *o, uint64_t hash, uint64_t *ret_identity)
{
	uint64_t value;
	uint32_t note, index;
	struct module_cached *entry, *use = &session.module_cache[hash % CACHE_ENTRIES];

	for (unsigned i = 0; i < CACHE_PROBES; i++) {
		entry = &session.module_cache[(hash + i) % CACHE_ENTRIES];
		value = __atomic_load_n(&entry->value, __ATOMIC_RELAXED);
		if (value == 0) {
			use = entry;
			break;
		}
		*ret_identity = identity_of(o, CACHED_NOTE(value));
		if (__atomic_load_n(&entry->key, __ATOMIC_RELAXED) ==
		    (o->start ^ weight_mix(value) ^ *ret_identity))
			return CACHED_INDEX(value) - 1;
	}
	index = add_module(o, &note);
	value = CACHED_VALUE(index + 1, note);
	*ret_identity = identity_of(o, note);
	__atomic_store_n(&use->value, value, __ATOMIC_RELAXED);
	__atomic_store_n(&use->key, o->start ^ weight_mix(value) ^ *ret_identity, __ATOMIC_RELAXED);
	return index;
}

bool modules_find(uint64_t pc, struct module *ret_module)
{
	struct object o;
	uint64_t hash, identity;
	uint32_t index;

	if (!objects_find(pc, &o))
		return false;
	hash = weight_mix(o.start);
	index = index_of(&o, hash, &identity);
	*ret_module = (struct module){
		.start = o.start,
		.end = o.end,
		.bias = o.bias,
		.tag = identity ^ hash,
		.index = index,
	};
	return true;
}

/* Reads are confined to the segment that holds .eh_frame_hdr. */
int modules_cfi(uint64_t pc, struct cfi_module *ret_cfi)
{
	const Elf64_Phdr *segment;
	struct object o;
	uint64_t vaddr, before;

	if (!objects_find(pc, &o) || !o.eh_hdr)
		return -ENOENT;
	vaddr = o.eh_hdr - o.bias;
	segment = find_segment(&o, vaddr);
	if (!segment)
		return -ENOENT;
	before = vaddr - segment->p_vaddr;
	return cfi_module_from_hdr((const uint8_t *)o.eh_hdr, vaddr, before,
				   segment->p_filesz - before, ret_cfi);
}
