/*
 * What the scribe takes, by the clock and in memory; it is its own scribe.
 *
 *	scribe-figures symbols FILE ADDRESSES ROUNDS LIST
 *	scribe-figures write FILE STACKS DEPTH ROUNDS OUTPUT
 *
 * symbols: one profile with so many distinct addresses of FILE's code, published
 * once by a new scribe, and then again by the same. The addresses go to LIST, as
 * the file counts them, for other symbolizers.
 *
 * write: one profile of so many stacks whose frames are in FILE, published again
 * and again; the last is kept as OUTPUT.
 *
 * One line of JSON: milliseconds of each round, the scribe's CPU time in each, and
 * its greatest resident size.
 */
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "profd/base.h"
#include "daemon/scribe/scribe.h"

#define LOAD_BIAS   0x555500000000ULL
#define MAX_ROUNDS  1000
#define N_LOCATIONS 5000 /* of the stacks */

struct code {
	uint64_t offset, vaddr, bytes;
};

struct figures {
	sd_event *loop;
	struct module_table *modules;
	struct module *module;
	struct scribe *scribe;
	struct code code;
	bool done;
	struct scribe_result result;
	double freeze_ms[MAX_ROUNDS], wall_ms[MAX_ROUNDS], cpu_ms[MAX_ROUNDS];
	size_t n;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Of the scribe; a new process has had none. */
static double scribe_cpu_ms(const struct figures *f)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)scribe_pid(f->scribe));
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	if (file)
		fclose(file);
	return (double)ns / 1e6;
}

static unsigned long scribe_status_kib(const struct figures *f, const char *field)
{
	unsigned long kib = 0;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)scribe_pid(f->scribe));
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtoul(line + strlen(field), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

static struct code find_code(int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	Elf_Scn *section = NULL;
	struct code code = {};
	GElf_Shdr header;
	size_t names;

	if (!elf || elf_getshdrstrndx(elf, &names) < 0)
		die("no ELF file");
	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) &&
		    strcmp(elf_strptr(elf, names, header.sh_name), ".text") == 0)
			code = (struct code){header.sh_offset, header.sh_addr, header.sh_size};
	elf_end(elf);
	return code;
}

static void set_up(struct figures *f, const char *path)
{
	struct module_key key = {.inode = 1};
	struct module *module;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	elf_version(EV_CURRENT);
	f->code = find_code(fd);
	if (sd_event_new(&f->loop) < 0 || module_table_new(&f->modules) < 0)
		die("set up");
	module = module_get_file(f->modules, path, &key);
	if (!module || module_adopt_fd(f->modules, module, fd, &f->module) < 0)
		die("module");
	if (scribe_new(f->loop, f->modules, NULL, "/proc/self/exe", &f->scribe) < 0)
		die("scribe");
}

static void tear_down(struct figures *f)
{
	scribe_free(f->scribe);
	module_table_free(f->modules);
	sd_event_unref(f->loop);
}

static void on_done(const struct scribe_result *result, void *userdata)
{
	struct figures *f = userdata;

	f->done = true;
	f->result = *result;
}

/* As the engine does: freezes, hands over, waits. */
static void run_round(struct figures *f, const struct aggregate *a, int dir_fd)
{
	struct freeze how = {.type = PROFILE_CPU, .period = 10000000, .time_unix_ns = 1};
	static const char name[] = "cpu_20261121T031244.123Z.pb.gz";
	double begin, cpu = scribe_cpu_ms(f), frozen_at;
	struct frozen frozen;

	unlinkat(dir_fd, name, 0);
	f->done = false;
	begin = now_ms();
	if (freeze_aggregate(f->modules, a, &how, &frozen) < 0)
		die("freeze");
	frozen_at = now_ms();
	if (scribe_submit(f->scribe, &frozen, dir_fd, name, on_done, f) < 0)
		die("submit");
	while (!f->done)
		if (sd_event_run(f->loop, UINT64_MAX) < 0)
			die("loop");
	if (f->result.error < 0 || scribe_restarts(f->scribe) > 0) {
		fprintf(stderr, "error %d, %d restarts\n", f->result.error,
			(int)scribe_restarts(f->scribe));
		exit(1);
	}
	f->freeze_ms[f->n] = frozen_at - begin;
	f->wall_ms[f->n] = now_ms() - frozen_at;
	f->cpu_ms[f->n] = scribe_cpu_ms(f) - cpu;
	f->n++;
}

static void print_list(const char *name, const double *values, size_t n)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < n; i++)
		printf("%s%.3f", i > 0 ? ", " : "", values[i]);
	printf("], ");
}

static void print_figures(const struct figures *f)
{
	printf("{");
	print_list("freeze_ms", f->freeze_ms, f->n);
	print_list("wall_ms", f->wall_ms, f->n);
	print_list("cpu_ms", f->cpu_ms, f->n);
	printf("\"rss_mib\": %.1f, \"anon_mib\": %.1f, \"bytes\": %" PRIu64
	       ", \"locations\": %u, \"named\": %u}\n",
	       (double)scribe_status_kib(f, "VmHWM:") / 1024,
	       (double)scribe_status_kib(f, "RssAnon:") / 1024, f->result.bytes,
	       f->result.locations, f->result.locations_named);
}

/* Spread over the code, and the same every time. */
static uint64_t pick(const struct figures *f, uint64_t i, uint64_t n)
{
	return f->code.bytes / n * i + i * 7919 % max(f->code.bytes / n, (uint64_t)1);
}

static void add(struct aggregate *a, const struct frame *frames, size_t n, pid_t tid)
{
	struct sample s = {
		.frames = frames,
		.n_frames = n,
		.values = {1, 10000000},
		.labels = {.pid = 100, .tid = tid, .comm = "program", .thread = "worker"},
	};

	if (aggregate_add(a, &s) < 0)
		die("aggregate");
}

static void measure_symbols(struct figures *f, size_t n, size_t rounds, const char *list)
{
	char dir[] = "/tmp/scribe-figures-XXXXXX";
	struct aggregate *a;
	FILE *out = fopen(list, "we");
	int dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!out || dir_fd < 0 || aggregate_new(2, n, &a) < 0)
		die(list);
	for (uint64_t i = 0; i < n; i++) {
		struct frame frame = {f->module->id, f->code.offset + pick(f, i, n)};

		add(a, &frame, 1, 1);
		fprintf(out, "0x%" PRIx64 "\n", f->code.vaddr + pick(f, i, n));
	}
	fclose(out);
	for (size_t i = 0; i <= rounds; i++)
		run_round(f, a, dir_fd);
	unlinkat(dir_fd, "cpu_20261121T031244.123Z.pb.gz", 0);
	rmdir(dir);
	aggregate_free(a);
	close(dir_fd);
}

/* A tree of calls: near the root few functions, near the leaves many. */
static uint64_t pick_in_tree(uint64_t stack, uint64_t level)
{
	uint64_t width = level < 20 ? 2 + level * level : N_LOCATIONS;
	uint64_t branch = (stack * 2654435761u >> 7) % width;

	return (branch * 31 + level * 977) % N_LOCATIONS;
}

static void measure_write(struct figures *f, size_t n, size_t depth, size_t rounds,
			  const char *output)
{
	_cleanup_free_ char *dir = strdup(output);
	struct frame frames[512];
	struct aggregate *a;
	int dir_fd;

	strrchr(dir, '/')[0] = '\0';
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || depth > ARRAY_SIZE(frames) || aggregate_new(2, n, &a) < 0)
		die(output);
	for (uint64_t i = 0; i < n; i++) {
		for (uint64_t level = 0; level < depth; level++)
			frames[depth - 1 - level] = (struct frame){
				f->module->id,
				f->code.offset + pick(f, pick_in_tree(i, level), N_LOCATIONS),
			};
		add(a, frames, depth, (pid_t)(1 + i % 16));
	}
	for (size_t i = 0; i <= rounds; i++)
		run_round(f, a, dir_fd);
	if (renameat(dir_fd, "cpu_20261121T031244.123Z.pb.gz", AT_FDCWD, output) < 0)
		die(output);
	fprintf(stderr, "%zu stacks\n", aggregate_count(a));
	aggregate_free(a);
	close(dir_fd);
}

int main(int argc, char **argv)
{
	struct figures f = {};

	if (argc == 2 && strcmp(argv[1], "--scribe") == 0)
		return scribe_main(3);
	if (argc == 6 && strcmp(argv[1], "symbols") == 0) {
		set_up(&f, argv[2]);
		measure_symbols(&f, strtoul(argv[3], NULL, 10),
				min(strtoul(argv[4], NULL, 10), MAX_ROUNDS - 1UL), argv[5]);
	} else if (argc == 7 && strcmp(argv[1], "write") == 0) {
		set_up(&f, argv[2]);
		measure_write(&f, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
			      min(strtoul(argv[5], NULL, 10), MAX_ROUNDS - 1UL), argv[6]);
	} else {
		fprintf(stderr, "usage: scribe-figures symbols|write ...\n");
		return 2;
	}
	print_figures(&f);
	tear_down(&f);
	return 0;
}
