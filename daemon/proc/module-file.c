/*
 * A module's file: taking hold of it, and what the daemon reads out of it.
 *
 * The descriptor is what makes names possible later, when the process and the
 * path may be gone, so it is kept as long as the module. The unwind information
 * is copied on first use; the copies have a budget, and the one that was used
 * longest ago makes way.
 */
#include "daemon/proc/module-table.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "daemon/proc/elf.h"
#include "profd/base.h"

#define CFI_MAX_MODULE_BYTES (PROFD_MAX_CFI_BYTES / 2)

static bool may_keep_open(const struct module_table *table)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return true;
	return table->open_fds < limit.rlim_cur / 2;
}

static bool has_build_id(const struct module *m, const struct elf_layout *layout)
{
	return m->build_id_bytes == layout->build_id_bytes &&
	       memcmp(m->build_id, layout->build_id, layout->build_id_bytes) == 0;
}

static void adopt(struct module_table *table, struct module *m, int *fd,
		  const struct elf_layout *layout)
{
	memcpy(m->build_id, layout->build_id, sizeof(m->build_id));
	m->build_id_bytes = layout->build_id_bytes;
	memcpy(m->segments, layout->segments, sizeof(m->segments));
	m->n_segments = layout->n_segments;
	m->eh_frame_hdr = layout->eh_frame_hdr;
	m->eh_frame = layout->eh_frame;
	m->go_table = layout->go_table;
	m->cfi_loaded = false; /* an answer from before there was a file */
	m->opened = true;
	m->error = 0;
	m->fd = take_fd(fd);
	table->open_fds++;
}

/* The module that @module is, by its build-id. */
static struct module *find_elder(struct module_table *table, struct module *module,
				 const struct elf_layout *layout)
{
	struct name_key k;
	struct name *name;

	if (layout->build_id_bytes == 0 || module->kind != MODULE_FILE)
		return module;
	name_key_start(&k, NAME_BUILD_ID);
	name_key_add(&k, layout->build_id, layout->build_id_bytes);
	name = module_find_name(table, &k);
	if (name)
		return name->module;
	(void)module_set_name(table, &k, module);
	return module;
}

int module_adopt_fd(struct module_table *table, struct module *module, int fd,
		    struct module **ret_module)
{
	_cleanup_close_ int own_fd = fd;
	struct elf_layout layout;
	struct module *elder;
	int rc;

	if (module->alias_of)
		module = module->alias_of;
	if (module->fd >= 0) { /* has its file */
		*ret_module = module;
		return 0;
	}
	module->opened = true;
	rc = may_keep_open(table) ? elf_read_layout(own_fd, &layout) : -EMFILE;
	if (rc == 0 && module->build_id_bytes > 0 && !has_build_id(module, &layout))
		rc = -ESTALE;
	if (rc < 0) {
		module->error = rc;
		return rc;
	}
	elder = find_elder(table, module, &layout);
	if (elder != module) {
		module_redirect_names(table, module, elder);
		module->alias_of = elder;
		module->error = 0;
	}
	if (elder->fd < 0)
		adopt(table, elder, &own_fd, &layout);
	*ret_module = elder;
	return 0;
}

/* The kernel made this image and mapped it whole, so its headers are true. It
 * ends with its section headers. */
static int copy_vdso(void)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	_cleanup_close_ int fd = -1;
	size_t bytes;

	if (!image)
		return -ENOENT;
	bytes = image->e_shoff + (size_t)image->e_shnum * image->e_shentsize;
	fd = memfd_create("profd-vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, image, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	return take_fd(&fd);
}

struct module *module_get_vdso(struct module_table *table)
{
	struct module *m = module_get_text(table, MODULE_VDSO, "[vdso]");
	int fd;

	if (!m || m->opened)
		return m;
	fd = copy_vdso();
	if (fd >= 0) {
		(void)module_adopt_fd(table, m, fd, &m);
	} else {
		m->opened = true;
		m->error = fd;
	}
	return m;
}

void module_add_place(struct module *module, const struct module_place *place)
{
	for (unsigned i = 0; i < module->n_places; i++)
		if (module->places[i].file_offset == place->file_offset)
			return;
	if (module->n_places < MODULE_SEGMENT_MAX)
		module->places[module->n_places++] = *place;
}

bool module_offset_to_vaddr(const struct module *module, uint64_t offset, uint64_t *ret_vaddr)
{
	for (unsigned i = 0; i < module->n_segments; i++) {
		const struct module_segment *s = &module->segments[i];

		if (offset < s->file_offset || offset - s->file_offset >= s->bytes)
			continue;
		*ret_vaddr = s->vaddr + (offset - s->file_offset);
		return true;
	}
	return false;
}

void module_build_id_hex(const struct module *module, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < module->build_id_bytes; i++) {
		*ret++ = digits[module->build_id[i] >> 4];
		*ret++ = digits[module->build_id[i] & 15];
	}
	*ret = '\0';
}

/* ---- unwind information */

void module_drop_cfi(struct module_table *table, struct module *m)
{
	free(m->cfi_bytes);
	table->cfi_bytes -= m->cfi_size;
	m->cfi_bytes = NULL;
	m->cfi_size = 0;
	m->cfi = (struct cfi_module){0};
	m->cfi_loaded = false;
}

static void make_room_for_cfi(struct module_table *table, size_t bytes)
{
	while (table->cfi_bytes + bytes > PROFD_MAX_CFI_BYTES) {
		struct module *oldest = NULL;

		for (size_t i = 0; i < table->n; i++) {
			struct module *m = table->modules[i];

			if (m->cfi_bytes && (!oldest || m->cfi_used < oldest->cfi_used))
				oldest = m;
		}
		if (!oldest)
			return;
		module_drop_cfi(table, oldest);
	}
}

static int load_cfi(struct module_table *table, struct module *m)
{
	const struct module_range *hdr = &m->eh_frame_hdr, *frames = &m->eh_frame;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;
	int rc;

	if (m->fd < 0 || frames->bytes == 0)
		return -ENOENT;
	if (hdr->bytes > CFI_MAX_MODULE_BYTES || frames->bytes > CFI_MAX_MODULE_BYTES - hdr->bytes)
		return -EFBIG;
	size = hdr->bytes + frames->bytes;
	make_room_for_cfi(table, size);
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	rc = elf_read_at(m->fd, hdr->offset, bytes, hdr->bytes);
	if (rc == 0)
		rc = elf_read_at(m->fd, frames->offset, bytes + hdr->bytes, frames->bytes);
	if (rc < 0)
		return rc;
	m->cfi = (struct cfi_module){
		.hdr = hdr->bytes > 0 ? bytes : NULL,
		.hdr_bytes = hdr->bytes,
		.hdr_vaddr = hdr->vaddr,
		.eh_frame = bytes + hdr->bytes,
		.eh_frame_bytes = frames->bytes,
		.eh_frame_vaddr = frames->vaddr,
	};
	m->cfi_bytes = take_ptr(bytes);
	m->cfi_size = size;
	table->cfi_bytes += size;
	return 0;
}

const struct cfi_module *module_cfi(struct module_table *table, struct module *module)
{
	if (!module->cfi_loaded) {
		module->cfi_loaded = true;
		(void)load_cfi(table, module);
	}
	if (!module->cfi_bytes)
		return NULL;
	module->cfi_used = ++table->cfi_clock;
	return &module->cfi;
}

size_t module_table_cfi_bytes(const struct module_table *table)
{
	return table->cfi_bytes;
}
