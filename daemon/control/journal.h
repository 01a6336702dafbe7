/*
 * What the daemon tells its administrator: to the journal with fields, if
 * standard error is the journal's; else as lines on standard error.
 *
 * Fields, beside those that journald adds: PROFD_PID, PROFD_COMM and PROFD_UNIT of
 * the process that a message is about, PROFD_FILE of the profile, program or
 * settings file; MESSAGE_ID by event, for those who wait for one. What processes
 * are called is theirs to choose: control characters become '?'.
 *
 * Whoever makes processes crash makes messages, so those beyond JOURNAL_BURST,
 * and JOURNAL_PER_SECOND after that, are counted and not sent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define JOURNAL_BURST	   100
#define JOURNAL_PER_SECOND 2

enum journal_event {
	JOURNAL_NOTE,	       /* any other: it has no MESSAGE_ID */
	JOURNAL_TROUBLE,       /* likewise, a warning */
	JOURNAL_STARTED,       /* dd2191978f954d80ae8c67a18a24450a */
	JOURNAL_RELOADED,      /* dfcc6d708c8f41f5ade61c82911e291e */
	JOURNAL_RELOAD_FAILED, /* 820a3e5bd4ab457aa2af3b71cc8495bd */
	JOURNAL_LAST_HEAP,     /* c1c6df99b3324c4595d3ccc1139c77b3: of a killed process */
	JOURNAL_LOST_PROFILE,  /* d5593ee3322446a5abcb5e8d6fe2b692: it could not be written */
	JOURNAL_QUARANTINED,   /* ba0e857d1a5a4049b5bc5a166ae95236: a file killed the scribe */
	JOURNAL_STUCK,	       /* 4f87fa1d794945b5b4e4ea0ac5c463be: the watchdog is not fed */
};

struct journal_about { /* NULL, 0: not about one */
	pid_t pid;
	const char *comm, *unit, *file;
};

struct journal {
	bool structured; /* standard error is the journal's */
	unsigned left;	 /* messages that may be sent now */
	uint64_t refilled_mono_ns;
	uint64_t suppressed;
};

void journal_init(struct journal *j);

/* @about: NULL is fine. */
void journal_say(struct journal *j, enum journal_event event, const struct journal_about *about,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
