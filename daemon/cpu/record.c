/*
 * The layout is perf_event_open(2)'s for the one sample type that is used here.
 * Records other than samples end with a trailer that holds task, time and CPU
 * (sample_id_all). The kernel can be trusted, and still every length is checked
 * against the record's own: a field that a later kernel adds, or a slip here,
 * ends in a count of malformed records and not in somebody else's memory.
 */
#include "daemon/cpu/record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "profd/base.h"

struct trailer { /* sample_id */
	uint32_t pid, tid;
	uint64_t time_ns;
	uint32_t cpu, reserved;
};

struct sample_head {
	uint64_t ip;
	uint32_t pid, tid;
	uint64_t time_ns;
	uint32_t cpu, reserved;
};

struct mmap2_head {
	uint32_t pid, tid;
	uint64_t start, bytes, file_offset;
	union {
		struct {
			uint32_t major, minor;
			uint64_t inode, inode_generation;
		};
		struct {
			uint8_t build_id_bytes;
			uint8_t reserved[3];
			uint8_t build_id[20];
		};
	};
	uint32_t protection, flags;
};

struct task_head {
	uint32_t pid, parent, tid, parent_tid;
	uint64_t time_ns;
};

static_assert(sizeof(struct trailer) == 24, "kernel's format");
static_assert(sizeof(struct sample_head) == 32, "kernel's format");
static_assert(sizeof(struct mmap2_head) == 64, "kernel's format");
static_assert(sizeof(struct task_head) == 24, "kernel's format");
static_assert(__builtin_popcountll(RECORD_REGS_USER) == RECORD_REGS_N, "registers");

#define HEADER sizeof(struct perf_event_header)

/* What of a record is still to be parsed. */
struct reader {
	const uint8_t *at;
	size_t left;
};

static const void *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (n > r->left)
		return NULL;
	r->at += n;
	r->left -= n;
	return p;
}

static bool take_u64(struct reader *r, uint64_t *ret_value)
{
	const void *p = take(r, sizeof(*ret_value));

	if (p)
		memcpy(ret_value, p, sizeof(*ret_value));
	return p;
}

/* @n values of 8 bytes; the product cannot overflow after the check. */
static const uint64_t *take_array(struct reader *r, uint64_t n)
{
	if (n > r->left / sizeof(uint64_t))
		return NULL;
	return take(r, (size_t)n * sizeof(uint64_t));
}

size_t record_time_offset(const struct perf_event_header *header)
{
	if (header->type == PERF_RECORD_SAMPLE)
		return header->size < HEADER + sizeof(struct sample_head)
			       ? 0
			       : HEADER + offsetof(struct sample_head, time_ns);
	if (header->size < HEADER + sizeof(struct trailer))
		return 0;
	return header->size - sizeof(struct trailer) + offsetof(struct trailer, time_ns);
}

/* The chain is divided by markers of what comes next. User frames are not asked
 * for; the first run of kernel frames is it. */
static void take_kernel_frames(const uint64_t *chain, uint64_t n, struct sampler_sample *s)
{
	uint64_t i = 0, start;

	while (i < n && chain[i] != PERF_CONTEXT_KERNEL)
		i++;
	start = ++i;
	if (start >= n)
		return;
	while (i < n && chain[i] < PERF_CONTEXT_MAX)
		i++;
	s->kernel_frames = chain + start;
	s->n_kernel_frames = (size_t)(i - start);
}

/* A 32-bit process has registers, but its stack is of another shape than the
 * unwinder knows: it gets none, which leaves the innermost frame. */
static int take_user(struct reader *r, struct sampler_sample *s)
{
	uint64_t abi, size, used = 0;
	const uint8_t *stack;

	if (!take_u64(r, &abi))
		return -EBADMSG;
	s->has_user = abi != PERF_SAMPLE_REGS_ABI_NONE;
	if (s->has_user) {
		s->regs = take_array(r, RECORD_REGS_N);
		if (!s->regs)
			return -EBADMSG;
	}
	if (!take_u64(r, &size) || size > r->left)
		return -EBADMSG;
	stack = take(r, (size_t)size);
	if (size > 0 && (!take_u64(r, &used) || used > size))
		return -EBADMSG;
	if (abi == PERF_SAMPLE_REGS_ABI_64 && used > 0) {
		s->stack = stack;
		s->stack_bytes = (size_t)used;
	}
	return 0;
}

static int parse_sample(struct reader *r, uint64_t fixed_period, struct record *ret)
{
	struct sampler_sample *s = &ret->sample;
	const uint64_t *chain;
	struct sample_head head;
	const void *p = take(r, sizeof(head));
	uint64_t n, period = fixed_period;

	if (!p || (fixed_period == 0 && !take_u64(r, &period)) || !take_u64(r, &n))
		return -EBADMSG;
	memcpy(&head, p, sizeof(head));
	chain = take_array(r, n);
	if (!chain)
		return -EBADMSG;
	*s = (struct sampler_sample){
		.time_ns = head.time_ns,
		.pid = (pid_t)head.pid,
		.tid = (pid_t)head.tid,
		.cpu = head.cpu,
		.period = period,
	};
	take_kernel_frames(chain, n, s);
	ret->time_ns = head.time_ns;
	return take_user(r, s) < 0 || r->left != 0 ? -EBADMSG : 0;
}

/* The rest of the record is a text, padded to 8 bytes with zeros. */
static const char *take_text(struct reader *r)
{
	const char *text = (const char *)r->at;

	if (strnlen(text, r->left) == r->left)
		return NULL;
	take(r, r->left);
	return text;
}

static int parse_mmap2(struct reader *r, uint16_t misc, struct record *ret)
{
	const struct mmap2_head *h = take(r, sizeof(*h));
	struct process_mmap *m = &ret->mmap;
	const char *path;

	if (!h)
		return -EBADMSG;
	path = take_text(r);
	if (!path)
		return -EBADMSG;
	*m = (struct process_mmap){
		.pid = (pid_t)h->pid,
		.start = h->start,
		.bytes = h->bytes,
		.file_offset = h->file_offset,
		.executable = h->protection & PROT_EXEC,
		.path = path,
	};
	if (!(misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
		m->key.dev = makedev(h->major, h->minor);
		m->key.inode = h->inode;
		m->key.inode_generation = h->inode_generation;
	} else if (h->build_id_bytes > 0 && h->build_id_bytes <= sizeof(h->build_id)) {
		m->key.build_id = h->build_id;
		m->key.build_id_bytes = h->build_id_bytes;
	} else {
		return -EBADMSG;
	}
	return 0;
}

static int parse_comm(struct reader *r, uint16_t misc, struct record *ret)
{
	const uint32_t *ids = take(r, 2 * sizeof(*ids));
	const char *comm;

	if (!ids)
		return -EBADMSG;
	comm = take_text(r);
	if (!comm)
		return -EBADMSG;
	ret->comm.pid = (pid_t)ids[0];
	ret->comm.tid = (pid_t)ids[1];
	ret->comm.comm = comm;
	ret->comm.exec = misc & PERF_RECORD_MISC_COMM_EXEC;
	return 0;
}

static int parse_task(struct reader *r, struct record *ret)
{
	const struct task_head *h = take(r, sizeof(*h));

	if (!h || r->left != 0)
		return -EBADMSG;
	ret->task.pid = (pid_t)h->pid;
	ret->task.parent = (pid_t)h->parent;
	ret->task.tid = (pid_t)h->tid;
	return 0;
}

/* LOST has an id before the number, LOST_SAMPLES has not. */
static int parse_lost(struct reader *r, struct record *ret)
{
	if (ret->type == PERF_RECORD_LOST && !take(r, sizeof(uint64_t)))
		return -EBADMSG;
	return take_u64(r, &ret->lost) && r->left == 0 ? 0 : -EBADMSG;
}

static int parse_body(struct reader *r, uint16_t misc, struct record *ret)
{
	switch (ret->type) {
	case PERF_RECORD_MMAP2:
		return parse_mmap2(r, misc, ret);
	case PERF_RECORD_COMM:
		return parse_comm(r, misc, ret);
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		return parse_task(r, ret);
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		return parse_lost(r, ret);
	case PERF_RECORD_THROTTLE:
		return r->left == 3 * sizeof(uint64_t) ? 0 : -EBADMSG;
	default:
		return -ENOTSUP;
	}
}

int record_parse(const uint8_t *bytes, size_t n, uint64_t fixed_period, struct record *ret_record)
{
	struct perf_event_header header;
	struct record record = {0};
	struct trailer trailer;
	struct reader r;
	int rc;

	if (n < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (header.size != n || n % 8 != 0)
		return -EBADMSG;
	r = (struct reader){bytes + sizeof(header), n - sizeof(header)};
	record.type = header.type;
	if (header.type == PERF_RECORD_SAMPLE) {
		rc = parse_sample(&r, fixed_period, &record);
	} else {
		if (r.left < sizeof(trailer))
			return -EBADMSG;
		r.left -= sizeof(trailer);
		memcpy(&trailer, r.at + r.left, sizeof(trailer));
		record.time_ns = trailer.time_ns;
		rc = parse_body(&r, header.misc, &record);
	}
	if (rc == 0)
		*ret_record = record;
	return rc;
}
