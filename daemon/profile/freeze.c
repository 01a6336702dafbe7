/*
 * An aggregate's frames become locations (locate.c), its entries samples. The
 * header says what a pprof reader expects of such a profile: Go's own sample
 * types, so that tools made for Go need no telling.
 */
#include "daemon/profile/freeze.h"

#include <errno.h>
#include <string.h>

#include "profd/base.h"
#include "daemon/profile/locate.h"
#include "proto/heap_table.h"

/*
 * Who allocates is whoever calls an allocator, not the allocator: its frames at
 * the leaf are left out of reports, so that the flat value is the caller's.
 * pprof matches a function's whole name, cut at the parameter list, and drops
 * everything from the outermost match inward; hence nothing here may match a
 * function that calls back into the program. The C++ library's allocators are
 * therefore named by what their names end in, never by a part of them: a
 * template that merely mentions std::allocator is the program's business.
 */
#define DROP_C                                                                                     \
	"(__libc_|__)?(malloc|calloc|realloc|reallocarray|memalign|posix_memalign|aligned_alloc"   \
	"|valloc|pvalloc|strdup|strndup)|wcsdup"
#define DROP_CXX                                                                                   \
	"operator new(\\[\\])?|(std|__gnu_cxx)::.*::(_M_)?"                                        \
	"(allocate|allocate_at_least|get_node|allocate_node|allocate_map)"
#define DROP_RUST "__(rust|rdl|rg)_(alloc|alloc_zeroed|realloc)"
/*
 * Who waits is whoever calls the scheduler. Reports begin at that function; the
 * scheduler's own stay in the file.
 */
#define OFFCPU_DROP_FRAMES                                                                         \
	"(__|io_|preempt_)?schedule(_timeout|_hrtimeout(_range)?(_clock)?|_preempt_disabled"       \
	"|_idle|_rtlock|_common|_notrace|_timeout_.*)?|(__traceiter|perf_trace|perf_tp)_.*"

#define HEAP_DROP_FRAMES DROP_C "|" DROP_CXX "|" DROP_RUST

struct type_info {
	const char *name;
	const char *types[SAMPLE_VALUES_MAX][2]; /* type, unit */
	size_t n_types;
	const char *period[2];
	const char *default_type;
	const char *drop_frames;
	bool process_labels; /* pid, comm and the like are worth a label */
};

#define OWN_LABELS 8 /* the most that are of profd's own */
#define MAX_LABELS (OWN_LABELS + HEAP_LABELS_MAX_PAIRS)

/* Cleaned, each byte may have become a character of three. */
#define OWN_TEXT_BYTES (3 * HEAP_LABELS_MAX_BYTES + 1)

#define EVENT_NAME "" /* stands for freeze.event */

#define WAIT_TYPES                                                                                 \
	.types = {{"contentions", "count"}, {"delay", "nanoseconds"}}, .n_types = 2,               \
	.period = {"contentions", "count"}

static const struct type_info infos[] = {
	[PROFILE_CPU] = {.name = "cpu",
			 .types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
			 .n_types = 2,
			 .period = {"cpu", "nanoseconds"},
			 .process_labels = true},
	[PROFILE_CYCLES] = {.name = "cpu",
			    .types = {{"samples", "count"},
				      {"cycles", "count"},
				      {"cpu", "nanoseconds"}},
			    .n_types = 3,
			    .period = {"cycles", "count"},
			    .process_labels = true},
	[PROFILE_EVENT] = {.name = "cpu",
			   .types = {{"samples", "count"}, {EVENT_NAME, "count"}},
			   .n_types = 2,
			   .period = {EVENT_NAME, "count"},
			   .process_labels = true},
	[PROFILE_OFFCPU] = {.name = "offcpu",
			    .types = {{"waits", "count"}, {"offcpu", "nanoseconds"}},
			    .n_types = 2,
			    .period = {"offcpu", "nanoseconds"},
			    .default_type = "offcpu",
			    .drop_frames = OFFCPU_DROP_FRAMES,
			    .process_labels = true},
	[PROFILE_THREADS] = {.name = "threads",
			     .types = {{"threads", "count"}},
			     .n_types = 1,
			     .period = {"threads", "count"},
			     .process_labels = true},
	[PROFILE_BLOCK] = {.name = "block", WAIT_TYPES},
	[PROFILE_MUTEX] = {.name = "mutex", WAIT_TYPES},
	[PROFILE_THREADCREATE] = {.name = "threadcreate",
				  .types = {{"threadcreate", "count"}},
				  .n_types = 1,
				  .period = {"threadcreate", "count"}},
	[PROFILE_TRACE] = {.name = "trace",
			   .types = {{"events", "count"}},
			   .n_types = 1,
			   .period = {"events", "count"},
			   .process_labels = true},
	[PROFILE_HEAP] = {.name = "heap",
			  .types = {{"alloc_objects", "count"},
				    {"alloc_space", "bytes"},
				    {"inuse_objects", "count"},
				    {"inuse_space", "bytes"}},
			  .n_types = 4,
			  .period = {"space", "bytes"},
			  .default_type = "inuse_space",
			  .drop_frames = HEAP_DROP_FRAMES},
};

const char *profile_type_name(enum profile_type type)
{
	return infos[type].name;
}

const char *profile_drop_frames(enum profile_type type)
{
	return infos[type].drop_frames ?: "";
}

static const char *type_name(const char *name, const struct freeze *how)
{
	return *name ? name : how->event;
}

/* Of the second value, the events; those of a frame for what is lost included. */
static int64_t mean_period(const struct pprof *p)
{
	int64_t samples = 0, events = 0;

	for (size_t i = 0; i < pprof_n_samples(p); i++) {
		struct pprof_sample s;

		pprof_sample(p, i, &s);
		if (__builtin_add_overflow(samples, s.values[0], &samples) ||
		    __builtin_add_overflow(events, s.values[1], &events))
			return 0;
	}
	return samples > 0 ? events / samples : 0;
}

static int set_period(struct pprof *p, const struct type_info *info, const struct freeze *how)
{
	bool mean = how->period == 0 && (how->type == PROFILE_CYCLES || how->type == PROFILE_EVENT);

	return pprof_set_period(p, type_name(info->period[0], how), info->period[1],
				mean ? mean_period(p) : how->period);
}

static int set_header(struct pprof *p, const struct type_info *info, const struct freeze *how)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < info->n_types; i++)
		r = pprof_add_sample_type(p, type_name(info->types[i][0], how), info->types[i][1]);
	if (r == 0)
		r = pprof_set_time(p, how->time_unix_ns, how->duration_ns);
	if (r == 0)
		r = pprof_set_default_type(p, info->default_type);
	if (r == 0)
		r = pprof_set_drop_frames(p, info->drop_frames);
	for (size_t i = 0; r == 0 && i < how->n_comments; i++)
		r = pprof_add_comment(p, how->comments[i]);
	return r;
}

/* An entry without a value says nothing: all of it was freed, and counted before. */
static bool is_empty(const struct aggregate_entry *e, size_t n_values)
{
	for (size_t i = 0; i < n_values; i++)
		if (e->values[i])
			return false;
	return true;
}

static int by_life(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static bool is_wanted(const struct aggregate_entry *e, size_t n_values, const struct freeze *how)
{
	if (how->only_pid && e->labels.pid != how->only_pid)
		return false;
	if (how->only_lives && !bsearch(&e->labels.life, how->only_lives, how->n_only_lives,
					sizeof(*how->only_lives), by_life))
		return false;
	if (how->only_comm && (!e->labels.comm || strcmp(e->labels.comm, how->only_comm)))
		return false;
	if (how->only_unit && (!e->labels.unit || strcmp(e->labels.unit, how->only_unit)))
		return false;
	return !is_empty(e, n_values);
}

/* The next string of *at, which is cut there; NULL: there is none. */
static char *next_string(char **at)
{
	char *start = *at, *end = strchr(start, HEAP_LABEL_SEPARATOR);

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return start;
}

/* The program's labels; @text holds them meanwhile. */
static size_t split_labels(const char *own, char text[OWN_TEXT_BYTES],
			   struct pprof_label ret[HEAP_LABELS_MAX_PAIRS])
{
	char *at = text, *key, *value;
	size_t n = 0;

	if (!own || strlen(own) >= OWN_TEXT_BYTES)
		return 0;
	strcpy(text, own);
	while (n < HEAP_LABELS_MAX_PAIRS && (key = next_string(&at)) && (value = next_string(&at)))
		ret[n++] = (struct pprof_label){.key = key, .str = value};
	return n;
}

static size_t make_labels(const struct sample_labels *l, const struct type_info *info,
			  char text[OWN_TEXT_BYTES], struct pprof_label ret[MAX_LABELS])
{
	size_t n = split_labels(l->own, text, ret);

	if (l->bytes)
		ret[n++] = (struct pprof_label){
			.key = "bytes", .num = (int64_t)l->bytes, .unit = "bytes"};
	if (!info->process_labels)
		return n;
	if (l->pid)
		ret[n++] = (struct pprof_label){.key = "pid", .num = l->pid};
	if (l->tid)
		ret[n++] = (struct pprof_label){.key = "tid", .num = l->tid};
	if (l->comm)
		ret[n++] = (struct pprof_label){.key = "comm", .str = l->comm};
	if (l->thread)
		ret[n++] = (struct pprof_label){.key = "thread", .str = l->thread};
	if (l->unit)
		ret[n++] = (struct pprof_label){.key = "unit", .str = l->unit};
	if (l->state)
		ret[n++] = (struct pprof_label){.key = "state", .str = l->state};
	if (l->wchan)
		ret[n++] = (struct pprof_label){.key = "wchan", .str = l->wchan};
	return n;
}

static int add_sample(struct pprof *p, const struct aggregate_entry *e,
		      const struct type_info *info, const bool *used,
		      const uint64_t *frame_locations, uint64_t *scratch)
{
	struct pprof_label labels[MAX_LABELS];
	char text[OWN_TEXT_BYTES];
	struct pprof_sample sample = {
		.locations = scratch,
		.values = e->values,
		.labels = labels,
		.n_labels = make_labels(&e->labels, info, text, labels),
	};

	for (size_t i = 0; i < e->n_frames; i++)
		if (used[e->frames[i]])
			scratch[sample.n_locations++] = frame_locations[e->frames[i]];
	return pprof_add_sample(p, &sample);
}

static int add_samples(struct frozen *frozen, const struct aggregate *a, const struct freeze *how,
		       const bool *used, const uint64_t *frame_locations, size_t deepest)
{
	_cleanup_free_ uint64_t *scratch = calloc(deepest + 1, sizeof(*scratch));
	struct pprof *p = frozen->profile;
	int r = 0;

	if (!scratch)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < aggregate_count(a); i++) {
		struct aggregate_entry e;
		bool wanted;

		aggregate_entry(a, i, &e);
		wanted = is_wanted(&e, aggregate_n_values(a), how);
		if (frozen->samples)
			frozen->samples[i] = wanted ? (uint32_t)pprof_n_samples(p) : FROZEN_NONE;
		if (wanted)
			r = add_sample(p, &e, &infos[how->type], used, frame_locations, scratch);
	}
	return r;
}

static void mark_hidden(struct module_table *modules, const struct frame *frames, size_t n,
			bool *hidden)
{
	for (size_t i = 0; i < n; i++) {
		const struct module *m = module_by_id(modules, frames[i].module);

		hidden[i] = m && m->kind == MODULE_KERNEL;
	}
}

/* Marks the frames that show of all entries wanted; returns the length of the longest stack. */
static size_t mark_used(const struct aggregate *a, const struct freeze *how, const bool *hidden,
			bool *used)
{
	size_t deepest = 0;

	for (size_t i = 0; i < aggregate_count(a); i++) {
		struct aggregate_entry e;

		aggregate_entry(a, i, &e);
		if (!is_wanted(&e, aggregate_n_values(a), how))
			continue;
		deepest = max(deepest, e.n_frames);
		for (size_t j = 0; j < e.n_frames; j++)
			used[e.frames[j]] = !hidden[e.frames[j]];
	}
	return deepest;
}

static int fill(struct module_table *modules, const struct aggregate *a, const struct freeze *how,
		struct frozen *frozen)
{
	_cleanup_free_ uint64_t *frame_locations = NULL;
	_cleanup_free_ bool *used = NULL, *hidden = NULL;
	struct locate locate = {
		.modules = modules,
		.places = how->places,
		.n_places = how->n_places,
		.main_module = how->main_module,
	};
	size_t deepest;
	int r = set_header(frozen->profile, &infos[how->type], how);

	if (r < 0)
		return r;
	locate.frames = aggregate_frames(a, &locate.n_frames);
	used = calloc(locate.n_frames + 1, sizeof(*used));
	frame_locations = calloc(locate.n_frames + 1, sizeof(*frame_locations));
	hidden = calloc(locate.n_frames + 1, sizeof(*hidden));
	if (!used || !hidden || !frame_locations)
		return -ENOMEM;
	if (how->no_kernel)
		mark_hidden(modules, locate.frames, locate.n_frames, hidden);
	deepest = mark_used(a, how, hidden, used);
	locate.used = used;
	r = locate_frames(&locate, frozen->profile, frame_locations, &frozen->modules,
			  &frozen->n_modules);
	if (r < 0)
		return r;
	r = add_samples(frozen, a, how, used, frame_locations, deepest);
	return r < 0 ? r : set_period(frozen->profile, &infos[how->type], how);
}

int freeze_aggregate(struct module_table *modules, const struct aggregate *a,
		     const struct freeze *how, struct frozen *ret_frozen)
{
	struct frozen frozen = {0};
	int r;

	if (aggregate_n_values(a) != infos[how->type].n_types ||
	    (how->type == PROFILE_EVENT && !how->event))
		return -EINVAL;
	frozen.profile = pprof_new();
	if (how->type == PROFILE_TRACE)
		frozen.samples = calloc(aggregate_count(a) + 1, sizeof(*frozen.samples));
	r = frozen.profile && (frozen.samples || how->type != PROFILE_TRACE)
		    ? fill(modules, a, how, &frozen)
		    : -ENOMEM;
	if (r < 0) {
		frozen_done(&frozen);
		return r;
	}
	*ret_frozen = frozen;
	return 0;
}

void frozen_done(struct frozen *frozen)
{
	if (!frozen)
		return;
	pprof_free(frozen->profile);
	free(frozen->modules);
	free(frozen->samples);
	free(frozen->events);
	*frozen = (struct frozen){0};
}
