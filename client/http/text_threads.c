/*
 * As Go tells all goroutines when a program panics, and readers of such dumps know
 * it: a head of id and state in brackets, then two lines a frame, and a blank line.
 * What is an argument of a function is not known and left as dots, which Go does, too,
 * for functions that were inlined.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/http/text.h"
#include "profd/base.h"

struct thread {
	int64_t pid, tid;
	const char *name, *state, *wchan, *comm;
	size_t sample;
};

static void read_labels(const struct pprof *p, const struct pprof_sample *s, struct thread *t)
{
	for (size_t i = 0; i < s->n_labels; i++) {
		struct pprof_label l;

		pprof_sample_label(p, t->sample, i, &l);
		if (!l.str && strcmp(l.key, "pid") == 0)
			t->pid = l.num;
		else if (!l.str && strcmp(l.key, "tid") == 0)
			t->tid = l.num;
		else if (l.str && strcmp(l.key, "thread") == 0)
			t->name = l.str;
		else if (l.str && strcmp(l.key, "state") == 0)
			t->state = l.str;
		else if (l.str && strcmp(l.key, "wchan") == 0)
			t->wchan = l.str;
		else if (l.str && strcmp(l.key, "comm") == 0)
			t->comm = l.str;
	}
}

static int compare(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

/* By process, and in it by thread. NULL: no memory. */
static struct thread *sort(const struct pprof *p)
{
	size_t n = pprof_n_samples(p);
	struct thread *threads = calloc(n + 1, sizeof(*threads));

	for (size_t i = 0; threads && i < n; i++) {
		struct pprof_sample s;

		pprof_sample(p, i, &s);
		threads[i] = (struct thread){.sample = i, .name = "", .state = "unknown"};
		read_labels(p, &s, &threads[i]);
	}
	if (threads)
		qsort(threads, n, sizeof(*threads), compare);
	return threads;
}

/* Within brackets nothing may look like their end, nor like another field. */
static void put_field(FILE *to, const char *text)
{
	for (; *text; text++)
		fputc((unsigned char)*text < 0x20 || strchr("[],", *text) ? '?' : *text, to);
}

static void put_head(FILE *to, const struct thread *t, const char *word)
{
	fprintf(to, "%s %" PRId64 " [", word, t->tid);
	put_field(to, t->state);
	if (t->wchan) {
		fputs(", ", to);
		put_field(to, t->wchan);
	}
	fputs(", ", to);
	put_field(to, t->name);
	if (t->tid != t->pid) {
		fprintf(to, ", of %" PRId64, t->pid);
		if (t->comm) {
			fputc(' ', to);
			put_field(to, t->comm);
		}
	}
	fputs("]:\n", to);
}

static void put_place(FILE *to, const struct pprof *p, const struct pprof_location *l,
		      const struct pprof_line *line)
{
	struct pprof_mapping m = {.path = ""};

	if (l->mapping != 0)
		pprof_mapping(p, l->mapping, &m);
	fputc('\t', to);
	if (line && *line->file) {
		text_put_name(to, line->file);
		fprintf(to, ":%" PRId64 "\n", line->line);
	} else if (*m.path) {
		text_put_name(to, m.path);
		fprintf(to, " +%#" PRIx64 "\n", l->address - m.start + m.file_offset);
	} else {
		fputs("??:0\n", to); /* of the kernel, or a note */
	}
}

static void put_function(FILE *to, const char *name)
{
	size_t n = strlen(name);

	text_put_name(to, n > 0 ? name : "?");
	fputs(n > 0 && name[n - 1] == ')' ? "\n" : "(...)\n", to);
}

static void put_stack(FILE *to, const struct pprof *p, size_t sample)
{
	struct pprof_sample s;

	pprof_sample(p, sample, &s);
	for (size_t i = 0; i < s.n_locations; i++) {
		struct pprof_location l;
		struct pprof_line line;

		pprof_location(p, s.locations[i], &l);
		if (l.n_lines == 0) {
			fprintf(to, "%#" PRIx64 "(...)\n", l.address);
			put_place(to, p, &l, NULL);
		}
		for (size_t j = 0; j < l.n_lines; j++) {
			pprof_location_line(p, s.locations[i], j, &line);
			put_function(to, line.name);
			put_place(to, p, &l, &line);
		}
	}
	fputc('\n', to);
}

void text_put_threads(FILE *to, const struct pprof *p, const char *word)
{
	_cleanup_free_ struct thread *threads = sort(p);

	for (size_t i = 0; threads && i < pprof_n_samples(p); i++) {
		put_head(to, &threads[i], word);
		put_stack(to, p, threads[i].sample);
	}
	text_put_comments(to, p);
}
