/*
 * Settings change while all goes on. The new ones are parsed whole; what may be
 * refused is tried first, so that a reload happens altogether or not at all.
 *
 * Samples of another frequency are taken by another sampler. It is opened while
 * the old one still samples; then there is a moment, e->from_ns, up to which the
 * old one's records count and from which on the new one's do. A sample has the
 * weight that its own sampler gives it, so windows stay open over a change of
 * frequency and their sums stay right. Where the new samples are of another kind
 * (cycles, then page faults) windows cannot take both: profiles under way are
 * written as they are, and all windows begin anew.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_files.h"
#include "daemon/control/losses.h"
#include "daemon/engine_internal.h"
#include "profd/base.h"

/* What needs another sampler, and what another start. */
static const char *const of_sampler[] = {"event", "frequency", "ring"};
static const char *const of_start[] = {"state-dir", "runtime-dir"};

static bool is_among(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

static bool any_differs(const struct config *a, const struct config *b, const char *const *list,
			size_t n)
{
	for (size_t i = 0; config_setting_name(i); i++)
		if (is_among(config_setting_name(i), list, n) && config_differs(a, b, i))
			return true;
	return false;
}

/* ---- another sampler */

static bool same_kind(const struct sampler *a, const struct sampler *b)
{
	const char *x = sampler_event_type(a), *y = sampler_event_type(b);

	return sampler_measure(a) == sampler_measure(b) && (x && y ? strcmp(x, y) == 0 : x == y);
}

static int change_kind(struct engine *e, const struct sampler *next)
{
	int64_t values[SAMPLER_VALUES_MAX];
	struct window_moment now;
	char note[256];

	snprintf(note, sizeof(note), "ends where the event was changed, from %s to %s",
		 sampler_event(e->ctx.sampler), sampler_event(next));
	series_cut(&e->ctx, note);
	losses_moment(&e->ctx, &now);
	return windows_reshape(e->ctx.windows, sampler_values(next, 0, 0, values), &now);
}

/* Takes @next over, also on failure. */
static int change_sampler(struct engine *e, struct sampler *next)
{
	struct sampler *before = e->ctx.sampler;
	uint64_t from_ns = clock_mono_ns();
	bool same = same_kind(before, next);
	int r = 0;

	engine_drain_to(e, from_ns);
	if (!same)
		r = change_kind(e, next);
	if (r < 0) {
		sampler_free(next);
		return r;
	}
	if (same && sampler_frequency(before) != sampler_frequency(next))
		e->ctx.counters.rate_changes++;
	e->from_ns = from_ns;
	engine_stop_cpu(e);
	sampler_inherit(next, before);
	e->ctx.sampler = next;
	sampler_free(before);
	return engine_start_draining(e);
}

/* ---- everything */

static void change_debug_dirs(struct engine *e)
{
	keeper_forget_debug_dirs(e->ctx.keeper);
	(void)engine_add_debug_dirs(e);
	scribe_renew(e->ctx.scribe); /* what had no names may have some now */
}

/* What cannot be refused, once @next is what holds. */
static void apply_rest(struct engine *e, const struct config *before, const struct config *next)
{
	static const char *const of_rotation[] = {"rotate", "rotate-trim", "event"};
	static const char *const of_debug[] = {"debug-dir"};

	store_set_limits(e->ctx.store, &next->limits);
	if (any_differs(before, next, of_debug, ARRAY_SIZE(of_debug)))
		change_debug_dirs(e);
	if (!e->ctx.sampler && any_differs(before, next, of_sampler, ARRAY_SIZE(of_sampler)))
		(void)engine_start_machine(e);
	if (any_differs(before, next, of_rotation, ARRAY_SIZE(of_rotation)) &&
	    engine_start_rotation(e) < 0)
		journal_say(&e->ctx.journal, JOURNAL_TROUBLE, NULL, "rotation: out of memory");
}

static void tell_changes(struct engine *e, const struct config *before, const struct config *next)
{
	char changed[256] = "", later[64] = "";

	for (size_t i = 0; config_setting_name(i); i++) {
		const char *name = config_setting_name(i);
		bool at_start = is_among(name, of_start, ARRAY_SIZE(of_start));
		char *to = at_start ? later : changed;
		size_t n = strlen(to), size = at_start ? sizeof(later) : sizeof(changed);

		if (config_differs(at_start ? e->started_with : before, next, i))
			snprintf(to + n, size - n, "%s%s", n > 0 ? ", " : "", name);
	}
	journal_say(&e->ctx.journal, JOURNAL_RELOADED, NULL, "settings read anew: %s",
		    *changed ? changed : "nothing has changed");
	if (*later)
		journal_say(&e->ctx.journal, JOURNAL_TROUBLE, NULL,
			    "%s: takes effect when profd is started the next time", later);
}

static int apply(struct engine *e, struct config *next, char *why, size_t why_size)
{
	const struct config *before = e->config;
	struct sampler *sampler = NULL;
	int r = 0;

	if (e->ctx.sampler && any_differs(before, next, of_sampler, ARRAY_SIZE(of_sampler)))
		r = engine_open_sampler(e, next, 0, &sampler, why, why_size);
	if (r >= 0 && sampler) {
		r = change_sampler(e, sampler);
		if (r < 0)
			snprintf(why, why_size, "out of memory");
	}
	if (r < 0)
		return r;
	e->config = next;
	tell_changes(e, before, next);
	apply_rest(e, before, next);
	return 0;
}

static int reload(struct engine *e, char *why, size_t why_size)
{
	struct config *next = calloc(1, sizeof(*next)), *before = e->reloaded;
	int r;

	if (!next) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	r = config_reload(e->config, "", next, why, why_size);
	if (r < 0) {
		free(next);
		return r;
	}
	r = apply(e, next, why, why_size);
	if (r < 0) {
		config_done(next);
		free(next);
		return r;
	}
	/* the next one is compared with this; the first of all is the caller's */
	e->reloaded = next;
	if (before)
		config_done(before);
	free(before);
	return 0;
}

static void reload_and_tell(struct engine *e)
{
	char why[PROFD_MAX_PATH + 512], status[NOTIFY_STATUS_BYTES];

	notify_reloading();
	if (reload(e, why, sizeof(why)) < 0) {
		e->ctx.counters.reloads_failed++;
		journal_say(&e->ctx.journal, JOURNAL_RELOAD_FAILED, NULL,
			    "reload: the old settings are kept: %s", why);
	} else {
		e->ctx.counters.reloads++;
	}
	engine_describe(e, status, sizeof(status));
	memcpy(e->status_told, status, sizeof(status));
	notify_ready(status);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	reload_and_tell(userdata);
	return 0;
}

int engine_listen_to_hangup(struct engine *e)
{
	return sd_event_add_signal(e->ctx.loop, NULL, SIGHUP, on_hangup, e);
}
