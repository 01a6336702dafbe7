#define SD_JOURNAL_SUPPRESS_LOCATION
#include "daemon/control/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#include "profd/base.h"

#define MAX_FIELDS 8
#define MAX_TEXT   1024

struct entry {
	char *text[MAX_FIELDS];
	unsigned n;
};

static const struct {
	int priority;
	const char *id;
} events[] = {
	[JOURNAL_NOTE] = {LOG_INFO, NULL},
	[JOURNAL_TROUBLE] = {LOG_WARNING, NULL},
	[JOURNAL_STARTED] = {LOG_INFO, "dd2191978f954d80ae8c67a18a24450a"},
	[JOURNAL_RELOADED] = {LOG_INFO, "dfcc6d708c8f41f5ade61c82911e291e"},
	[JOURNAL_RELOAD_FAILED] = {LOG_ERR, "820a3e5bd4ab457aa2af3b71cc8495bd"},
	[JOURNAL_LAST_HEAP] = {LOG_NOTICE, "c1c6df99b3324c4595d3ccc1139c77b3"},
	[JOURNAL_LOST_PROFILE] = {LOG_WARNING, "d5593ee3322446a5abcb5e8d6fe2b692"},
	[JOURNAL_QUARANTINED] = {LOG_WARNING, "ba0e857d1a5a4049b5bc5a166ae95236"},
	[JOURNAL_STUCK] = {LOG_ERR, "4f87fa1d794945b5b4e4ea0ac5c463be"},
};

/* The variable may be a parent's, whose standard error was another. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == inode;
}

void journal_init(struct journal *j)
{
	*j = (struct journal){
		.structured = stderr_is_journal(),
		.left = JOURNAL_BURST,
		.refilled_mono_ns = clock_mono_ns(),
	};
}

static bool may_say(struct journal *j)
{
	uint64_t now = clock_mono_ns();
	uint64_t more = (now - j->refilled_mono_ns) / (NSEC_PER_SEC / JOURNAL_PER_SECOND);

	if (more > 0) {
		j->left = (unsigned)min(j->left + more, (uint64_t)JOURNAL_BURST);
		j->refilled_mono_ns = now;
	}
	if (j->left == 0) {
		j->suppressed++;
		return false;
	}
	j->left--;
	return true;
}

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

__attribute__((format(printf, 2, 3))) static void add(struct entry *e, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (e->n < MAX_FIELDS && vasprintf(&text, format, args) >= 0) {
		clean(text);
		e->text[e->n++] = text;
	}
	va_end(args);
}

static int send(enum journal_event event, const struct journal_about *about, const char *text)
{
	struct entry e = {.n = 0};
	struct iovec fields[MAX_FIELDS];
	int r;

	add(&e, "MESSAGE=%s", text);
	add(&e, "PRIORITY=%d", events[event].priority);
	add(&e, "SYSLOG_IDENTIFIER=profd");
	if (events[event].id)
		add(&e, "MESSAGE_ID=%s", events[event].id);
	if (about && about->pid)
		add(&e, "PROFD_PID=%d", (int)about->pid);
	if (about && about->comm)
		add(&e, "PROFD_COMM=%s", about->comm);
	if (about && about->unit)
		add(&e, "PROFD_UNIT=%s", about->unit);
	if (about && about->file)
		add(&e, "PROFD_FILE=%s", about->file);
	for (unsigned i = 0; i < e.n; i++)
		fields[i] = (struct iovec){.iov_base = e.text[i], .iov_len = strlen(e.text[i])};
	r = sd_journal_sendv(fields, (int)e.n);
	for (unsigned i = 0; i < e.n; i++)
		free(e.text[i]);
	return r;
}

void journal_say(struct journal *j, enum journal_event event, const struct journal_about *about,
		 const char *format, ...)
{
	char text[MAX_TEXT];
	va_list args;

	if (!may_say(j))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	clean(text);
	if (!j->structured || send(event, about, text) < 0)
		fprintf(stderr, "profd: %s\n", text);
}
