/*
 * A libunwind address space that consists of three stretches of memory: the
 * .eh_frame_hdr and .eh_frame of one module, at the addresses where the target
 * has them, and the copy of the stack. The space is made once; what lies in it is
 * said anew for each step, through the argument that libunwind hands to every
 * accessor.
 *
 * libunwind reads whole aligned words, so a stretch's first and last word may be
 * only partly ours: bytes beyond it read as 0. Nothing is ever written.
 */
#include "daemon/stack/remote.h"

#include <errno.h>
#include <libunwind-x86_64.h>
#include <stdlib.h>
#include <string.h>

#include "profd/base.h"

#define HDR_TABLE_OFFSET 12   /* of the table, behind four bytes and two words */
#define HDR_TABLE_FORM	 0x3b /* DW_EH_PE_datarel | DW_EH_PE_sdata4 */
#define HDR_COUNT_FORM	 0x03 /* DW_EH_PE_udata4 */
#define HDR_ENTRY_BYTES	 8

/* Exported for users with their own find_proc_info, but in no header. */
int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *di,
				       unw_proc_info_t *info, int need_unwind_info, void *context);

struct remote {
	unw_addr_space_t space;
};

struct context { /* of one step */
	const struct cfi_module *cfi;
	uint64_t bias;
	const struct step *step;
	uint64_t regs[CFI_REG_N]; /* by DWARF number */
	int stack_error;	  /* why a read of the stack failed */
};

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info,
			  int need_unwind_info, void *arg)
{
	const struct context *c = arg;
	uint64_t hdr = c->cfi->hdr_vaddr + c->bias;
	unw_dyn_info_t di = {
		.format = UNW_INFO_FORMAT_REMOTE_TABLE,
		.start_ip = 0,
		.end_ip = UINT64_MAX,
	};
	uint32_t n;

	memcpy(&n, c->cfi->hdr + HDR_TABLE_OFFSET - sizeof(n), sizeof(n));
	n = (uint32_t)min((uint64_t)n, (c->cfi->hdr_bytes - HDR_TABLE_OFFSET) / HDR_ENTRY_BYTES);
	di.u.rti.segbase = hdr;
	di.u.rti.table_data = hdr + HDR_TABLE_OFFSET;
	di.u.rti.table_len = n * HDR_ENTRY_BYTES / sizeof(unw_word_t);
	return _Ux86_64_dwarf_search_unwind_table(space, ip, &di, info, need_unwind_info, arg);
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *arg)
{
}

static int get_dyn_info_list_addr(unw_addr_space_t space, unw_word_t *ret, void *arg)
{
	return -UNW_ENOINFO;
}

/* The word at @address out of the @n bytes that lie at @base; false: no part of it. */
static bool read_word(const uint8_t *bytes, uint64_t n, uint64_t base, uint64_t address,
		      unw_word_t *ret_word)
{
	uint64_t at = address - base, skip = 0;

	*ret_word = 0;
	if (address < base) {
		skip = base - address;
		at = 0;
	}
	if (skip >= sizeof(*ret_word) || at >= n)
		return false;
	memcpy((uint8_t *)ret_word + skip, bytes + at, min(sizeof(*ret_word) - skip, n - at));
	return true;
}

static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
		      void *arg)
{
	struct context *c = arg;
	const struct cfi_module *cfi = c->cfi;
	int r;

	if (write)
		return -UNW_EINVAL;
	if (read_word(cfi->hdr, cfi->hdr_bytes, cfi->hdr_vaddr + c->bias, address, value) ||
	    read_word(cfi->eh_frame, cfi->eh_frame_bytes, cfi->eh_frame_vaddr + c->bias, address,
		      value))
		return 0;
	r = step_read(c->step, address, value);
	if (r < 0) {
		c->stack_error = r;
		return -UNW_EINVAL;
	}
	return 0;
}

static int access_reg(unw_addr_space_t space, unw_regnum_t reg, unw_word_t *value, int write,
		      void *arg)
{
	const struct context *c = arg;

	if (write || reg < 0 || reg >= CFI_REG_N)
		return -UNW_EBADREG;
	*value = c->regs[reg];
	return 0;
}

static int access_fpreg(unw_addr_space_t space, unw_regnum_t reg, unw_fpreg_t *value, int write,
			void *arg)
{
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *arg)
{
	return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t address, char *name, size_t bytes,
			 unw_word_t *offset, void *arg)
{
	return -UNW_EINVAL;
}

int remote_new(struct remote **ret_remote)
{
	static unw_accessors_t accessors = {
		.find_proc_info = find_proc_info,
		.put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = get_dyn_info_list_addr,
		.access_mem = access_mem,
		.access_reg = access_reg,
		.access_fpreg = access_fpreg,
		.resume = resume,
		.get_proc_name = get_proc_name,
	};
	_cleanup_free_ struct remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return -ENOMEM;
	remote->space = unw_create_addr_space(&accessors, 0);
	if (!remote->space)
		return -ENOMEM;
	/* The same address means another process's code in the next sample. */
	unw_set_caching_policy(remote->space, UNW_CACHE_NONE);
	*ret_remote = take_ptr(remote);
	return 0;
}

void remote_free(struct remote *remote)
{
	if (!remote)
		return;
	unw_destroy_addr_space(remote->space);
	free(remote);
}

static bool has_table(const struct cfi_module *cfi)
{
	return cfi->hdr && cfi->hdr_bytes >= HDR_TABLE_OFFSET && cfi->hdr[2] == HDR_COUNT_FORM &&
	       cfi->hdr[3] == HDR_TABLE_FORM;
}

static void read_regs(unw_cursor_t *cursor, struct step *next)
{
	for (unsigned i = 0; i < CFI_REG_N; i++) {
		enum unwind_reg reg = step_reg(i);
		unw_word_t value;

		if (unw_get_reg(cursor, (unw_regnum_t)i, &value) == 0)
			next->regs[reg] = value;
		else
			next->known &= ~(1u << reg);
	}
}

int remote_step(struct remote *remote, const struct cfi_module *cfi, uint64_t bias, struct step *s)
{
	struct context c = {.cfi = cfi, .bias = bias, .step = s};
	struct step next = *s;
	unw_cursor_t cursor;
	bool signal;
	int r;

	if (!has_table(cfi))
		return -ENOTSUP;
	for (unsigned i = 0; i < CFI_REG_N; i++)
		c.regs[i] = s->regs[step_reg(i)];
	c.regs[CFI_RA] = step_lookup(s);

	if (unw_init_remote(&cursor, remote->space, &c) < 0)
		return -EBADMSG;
	signal = unw_is_signal_frame(&cursor) > 0;
	r = unw_step(&cursor);
	if (r <= 0)
		return c.stack_error ? c.stack_error : -EBADMSG;
	read_regs(&cursor, &next);
	if (!(next.known & (1u << UNWIND_RIP)) || !(next.known & (1u << UNWIND_RSP)))
		return c.stack_error ? c.stack_error : -EBADMSG;
	if (!signal && !step_goes_up(&next, s->regs[UNWIND_RSP]))
		return -EFAULT;
	next.exact = signal;
	if (!signal)
		next.known &= s->known & STEP_KNOWN_KEPT;
	*s = next;
	return 0;
}
