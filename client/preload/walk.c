/*
 * From the innermost frame outwards, a row for each, until the row says that
 * there is no caller.
 *
 * Finding a row means parsing .eh_frame, which takes a microsecond; so rows are
 * cached by pc in 64 bits each (callers' registers lie at small multiples of
 * eight below the CFA; a row that is not so is simply not cached). An entry is
 * two words, and the first is only right for the second, the pc and the
 * module's tag: one that was torn by two writers, or that belongs to a module
 * that is gone, does not match. Threads and signal handlers need no more.
 */
#include "client/preload/walk.h"

#include "client/preload/fast.h"
#include "client/preload/session.h"
#include "client/preload/weight.h"
#include "profd/heap_table.h"
#include "profd/limits.h"

struct walk_cached_row {
	uint64_t key; /* pc ^ tag ^ mix(packed) */
	uint64_t packed;
};

#define CACHE_ENTRIES (WALK_CACHE_BYTES / sizeof(struct walk_cached_row))

/* The start of this library's own mapping: the linker's name for it. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/*
 * A packed row, from bit 0: kind 3, cfa_reg 4, six registers of 5 (0: unchanged,
 * n: at -8n), and then cfa_offset/8 22, plt_from 4; or, of an aligned row,
 * cfa_offset/8 12, cfa_add/8 7, cfa_deref 1, from_rbp 6.
 */
#define PACK_REGS_AT	   7
#define PACK_REG_BITS	   WALK_SAVED_BITS
#define PACK_REST_AT	   (PACK_REGS_AT + 6 * PACK_REG_BITS)
#define PACK_REST(row, at) ((row) >> (PACK_REST_AT + (at)))

static const uint8_t saved_regs[6] = {CFI_RBX, CFI_RBP, CFI_R12, CFI_R13, CFI_R14, CFI_R15};

static bool pack_signed(int64_t value, unsigned bits, unsigned at, uint64_t *packed)
{
	int64_t n = value / 8;

	if (value % 8 != 0 || n < -(1LL << (bits - 1)) || n >= 1LL << (bits - 1))
		return false;
	*packed |= ((uint64_t)n & ((1ULL << bits) - 1)) << at;
	return true;
}

static int32_t unpack_signed(uint64_t packed, unsigned bits)
{
	return (int32_t)((int64_t)(packed << (64 - bits)) >> (64 - bits)) * 8;
}

static bool pack_row(const struct cfi_row *row, uint64_t *ret_packed)
{
	const int32_t offsets[6] = {row->rbx, row->rbp, row->r12, row->r13, row->r14, row->r15};
	uint64_t packed = row->kind | (uint64_t)row->cfa_reg << 3;

	if (row->kind > 7 || row->cfa_reg > 15 || row->plt_from > 15)
		return false;
	if (row->kind != CFI_ROW_END && row->kind != CFI_ROW_SIGNAL &&
	    row->kind != CFI_ROW_EXPRESSION && row->ra_offset != -8)
		return false;
	for (unsigned i = 0; i < 6; i++) {
		int32_t n = offsets[i] / -8;

		if (offsets[i] % 8 != 0 || n < 0 || n >= 1 << PACK_REG_BITS)
			return false;
		packed |= (uint64_t)n << (PACK_REGS_AT + PACK_REG_BITS * i);
	}
	if (row->kind != CFI_ROW_ALIGNED) {
		packed |= (uint64_t)row->plt_from << (PACK_REST_AT + 22);
		*ret_packed = packed;
		return pack_signed(row->cfa_offset, 22, PACK_REST_AT, ret_packed);
	}
	for (unsigned i = 0; i < 6; i++)
		if (row->from_rbp & 1u << saved_regs[i])
			packed |= 1ULL << (PACK_REST_AT + 20 + i);
	packed |= (uint64_t)row->cfa_deref << (PACK_REST_AT + 19);
	*ret_packed = packed;
	return pack_signed(row->cfa_offset, 12, PACK_REST_AT, ret_packed) &&
	       pack_signed(row->cfa_add, 7, PACK_REST_AT + 12, ret_packed);
}

static int32_t unpack_reg(uint64_t packed, unsigned i)
{
	return -8 *
	       (int32_t)(packed >> (PACK_REGS_AT + PACK_REG_BITS * i) & ((1 << PACK_REG_BITS) - 1));
}

static void unpack_row(uint64_t packed, struct cfi_row *row)
{
	row->kind = packed & 7;
	row->cfa_reg = packed >> 3 & 15;
	row->ra_offset = -8;
	row->rbx = unpack_reg(packed, 0);
	row->rbp = unpack_reg(packed, 1);
	row->r12 = unpack_reg(packed, 2);
	row->r13 = unpack_reg(packed, 3);
	row->r14 = unpack_reg(packed, 4);
	row->r15 = unpack_reg(packed, 5);
	row->from_rbp = 0;
	row->cfa_deref = false;
	row->cfa_add = 0;
	row->plt_from = 0;
	if (row->kind != CFI_ROW_ALIGNED) {
		row->cfa_offset = unpack_signed(PACK_REST(packed, 0), 22);
		row->plt_from = PACK_REST(packed, 22) & 15;
		return;
	}
	row->cfa_offset = unpack_signed(PACK_REST(packed, 0), 12);
	row->cfa_add = unpack_signed(PACK_REST(packed, 12), 7);
	row->cfa_deref = PACK_REST(packed, 19) & 1;
	for (unsigned i = 0; i < 6; i++)
		if (PACK_REST(packed, 20 + i) & 1)
			row->from_rbp |= (uint16_t)(1u << saved_regs[i]);
}

static struct walk_cached_row *cache_entry(uint64_t pc)
{
	return &session.rows[(pc * 0x9e3779b97f4a7c15ULL >> 32) % CACHE_ENTRIES];
}

static __attribute__((noinline)) void remember_row(const struct module *module, uint64_t pc,
						   const struct cfi_row *row)
{
	struct walk_cached_row *entry = cache_entry(pc);
	uint64_t packed;

	if (!pack_row(row, &packed))
		return;
	__atomic_store_n(&entry->packed, packed, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->key, pc ^ module->tag ^ weight_mix(packed), __ATOMIC_RELAXED);
}

/*
 * The steps are not inlined, so that rows are on the stack only while they are
 * needed. This one is the deepest: nothing else that a sample does calls so far.
 */
static FAST_COLD enum walk_status step_parsed(struct walk *w, uint64_t pc)
{
	struct cfi_module cfi;
	struct cfi_row row;

	if (modules_cfi(pc, &cfi) < 0 || cfi_find_row(&cfi, pc - w->module->bias, &row) < 0)
		return walk_step_frame_pointer(w);
	remember_row(w->module, pc, &row);
	return walk_step(w, &row);
}

static __attribute__((noinline)) enum walk_status step_cached(struct walk *w, uint64_t packed)
{
	struct cfi_row row;

	unpack_row(packed, &row);
	return walk_step(w, &row);
}

/* Without a row in between, where the packed one says it all in few words. */
static enum walk_status step_known(struct walk *w, uint64_t packed)
{
	unsigned cfa_reg = packed >> 3 & 15;

	if (unlikely((packed & 7) != CFI_ROW_OFFSET || (cfa_reg != CFI_RSP && cfa_reg != CFI_RBP)))
		return step_cached(w, packed);
	return walk_step_common(w, cfa_reg == CFI_RBP, unpack_signed(PACK_REST(packed, 0), 22),
				packed >> PACK_REGS_AT & ((1ULL << 6 * PACK_REG_BITS) - 1));
}

static enum walk_status step(struct walk *w, uint64_t pc)
{
	const struct walk_cached_row *entry = cache_entry(pc);
	uint64_t packed = __atomic_load_n(&entry->packed, __ATOMIC_RELAXED);
	uint64_t key = __atomic_load_n(&entry->key, __ATOMIC_RELAXED);

	if (!w->in_module)
		return walk_step_frame_pointer(w);
	if (unlikely(key != (pc ^ w->module->tag ^ weight_mix(packed))))
		return step_parsed(w, pc);
	return step_known(w, packed);
}

/* The address to look up: inside the call instruction, for a return address. */
static uint64_t lookup_pc(const struct walk *w)
{
	return w->regs[WALK_PC] - !w->exact;
}

static bool holds(const struct module *module, uint64_t pc)
{
	return pc - module->start < module->end - module->start;
}

/* Code of both is on the walked stack, so neither is unloaded meanwhile. */
static void find_module(struct walk *w, uint64_t pc)
{
	struct module *other = &w->modules[w->module == w->modules];

	if (holds(w->module, pc)) {
		w->in_module = true;
		return;
	}
	w->in_module = holds(other, pc) || modules_find(pc, other);
	if (w->in_module)
		w->module = other;
}

/* As a frame of the table. Its reader subtracts one, so an interrupted
 * instruction is written as if it were a return address. */
static uint64_t frame_of(const struct walk *w)
{
	uint64_t pc = w->regs[WALK_PC] + w->exact;

	if (!w->in_module || w->module->index == HEAP_NO_MODULE)
		return HEAP_FRAME(HEAP_NO_MODULE, pc);
	return HEAP_FRAME(w->module->index, pc - w->module->bias);
}

/* Is this frame one of ours, which the program's stack is not to show? */
static bool is_own(const struct walk *w)
{
	return w->in_module && w->module->start == (uint64_t)__ehdr_start;
}

static inline __attribute__((always_inline)) void walk_on(struct walk *w, bool with_own,
							  uint64_t *ret_frames, uint32_t capacity,
							  struct walk_summary *ret_summary)
{
	enum walk_status status = WALK_STEPPED;
	uint64_t hash = 0;
	uint32_t n = 0;
	uint8_t flags = 0;

	while (status == WALK_STEPPED) {
		uint64_t pc = lookup_pc(w);

		find_module(w, pc);
		if (with_own || !is_own(w)) {
			uint64_t frame = frame_of(w);

			if (n == PROFD_MAX_FRAMES) {
				flags |= HEAP_STACK_TRUNCATED;
				break;
			}
			if (n < capacity)
				ret_frames[n] = frame;
			n++;
			hash = (hash ^ frame) * 0x9e3779b97f4a7c15ULL;
			hash ^= hash >> 29;
		}
		status = step(w, pc);
	}
	if (status == WALK_BROKEN)
		flags |= HEAP_STACK_BROKEN;
	*ret_summary = (struct walk_summary){
		.hash = weight_mix(hash ^ (uint64_t)n << 8 ^ flags),
		.n_frames = (uint16_t)n,
		.flags = flags,
	};
}

void walk_stack(const uint64_t *regs, uint64_t *ret_frames, uint32_t capacity,
		struct walk_summary *ret_summary)
{
	struct walk w;

	walk_begin(&w, regs);
	walk_on(&w, false, ret_frames, capacity, ret_summary);
}

struct walk_summary walk_interrupted(const void *context, uint64_t *ret_frames, uint32_t capacity)
{
	struct walk_summary summary;
	struct walk w;

	walk_begin_interrupted(&w, context);
	walk_on(&w, true, ret_frames, capacity, &summary);
	return summary;
}
