/*
 * The kernel maps the main program, and may leave holes between its segments.
 * _dl_find_object then tells of the one segment, which does not begin with the
 * ELF header. What the loader maps has no holes.
 *
 * The list is kept twice. A refresh fills the half that is not in use and then
 * turns the readers over to it with one store; a reader that meets two refreshes
 * in one lookup, which are a second apart, may see a torn entry, and the
 * module's ELF header is checked before anything is believed of it.
 */
#include "client/preload/objects.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <sys/auxv.h>

#define MAX_OBJECTS 512

struct object_list {
	unsigned n;
	struct object objects[MAX_OBJECTS];
};

static int (*find_object)(void *pc, struct dl_find_object *ret);
static struct object_list lists[2];
static unsigned current; /* atomic */
static const Elf64_Phdr *main_headers;
static unsigned n_main_headers;

static int add_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	struct object_list *list = userdata;
	struct object *o = &list->objects[list->n];

	if (list->n == MAX_OBJECTS)
		return 1;
	*o = (struct object){
		.start = UINT64_MAX,
		.bias = info->dlpi_addr,
		.path = info->dlpi_name ? info->dlpi_name : "",
		.identity = info->dlpi_phdr,
		.headers = info->dlpi_phdr,
		.n_headers = info->dlpi_phnum,
	};
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_GNU_EH_FRAME)
			o->eh_hdr = start;
		if (ph->p_type != PT_LOAD)
			continue;
		if (o->start > (start & ~4095ULL))
			o->start = start & ~4095ULL;
		if (o->end < start + ph->p_memsz)
			o->end = start + ph->p_memsz;
	}
	if (o->start < o->end)
		list->n++;
	return 0;
}

void objects_refresh(void)
{
	unsigned next = 1 - current;

	lists[next].n = 0;
	dl_iterate_phdr(add_object, &lists[next]);
	__atomic_store_n(&current, next, __ATOMIC_RELEASE);
}

/* ---- is there anybody else? */

static bool holds(const struct dl_phdr_info *info, uint64_t address)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && address - info->dlpi_addr - ph->p_vaddr < ph->p_memsz)
			return true;
	}
	return false;
}

static int is_other(struct dl_phdr_info *info, size_t size, void *userdata)
{
	const uint64_t *c_library = userdata;

	return info->dlpi_phdr != (void *)getauxval(AT_PHDR) && !holds(info, getauxval(AT_BASE)) &&
	       !holds(info, getauxval(AT_SYSINFO_EHDR)) && !holds(info, *c_library) &&
	       !holds(info, (uint64_t)(uintptr_t)lists);
}

bool objects_are_more(uint64_t c_library)
{
	return dl_iterate_phdr(is_other, &c_library) != 0;
}

void objects_init(void)
{
	void *found = dlsym(RTLD_DEFAULT, "_dl_find_object");

	main_headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
	n_main_headers = (unsigned)getauxval(AT_PHNUM);
	find_object = (int (*)(void *, struct dl_find_object *))found;
	if (!find_object)
		objects_refresh();
}

bool objects_need_refresh(void)
{
	return !find_object;
}

static bool find_in_list(uint64_t pc, struct object *ret_object)
{
	const struct object_list *list = &lists[__atomic_load_n(&current, __ATOMIC_ACQUIRE)];

	for (unsigned i = 0; i < list->n; i++) {
		struct object o = list->objects[i];

		if (pc >= o.start && pc < o.end) {
			*ret_object = o;
			return true;
		}
	}
	return false;
}

bool objects_find(uint64_t pc, struct object *ret_object)
{
	struct dl_find_object found;

	if (!find_object)
		return find_in_list(pc, ret_object);
	if (find_object((void *)pc, &found) < 0)
		return false;
	*ret_object = (struct object){
		.start = (uint64_t)found.dlfo_map_start,
		.end = (uint64_t)found.dlfo_map_end,
		.bias = found.dlfo_link_map->l_addr,
		.eh_hdr = (uint64_t)found.dlfo_eh_frame,
		.path = found.dlfo_link_map->l_name,
		.identity = found.dlfo_link_map,
	};
	if (ret_object->path[0] == '\0') {
		ret_object->headers = main_headers;
		ret_object->n_headers = n_main_headers;
	}
	return true;
}
