/* daemon/profile/freeze: an aggregate becomes a raw pprof profile. */
#include "tests/unit/freeze-world.h"

#include <errno.h>
#include <fcntl.h>

#include "profd/base.h"

static void check_type(const struct pprof *p, size_t i, const char *type, const char *unit)
{
	const char *t, *u;

	pprof_sample_type(p, i, &t, &u);
	assert_string_equal(t, type);
	assert_string_equal(u, unit);
}

static void test_cpu_header(void **state)
{
	static const char *const comments[] = {"one", "two"};
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU,
				       .period = 10101010,
				       .time_unix_ns = 123,
				       .duration_ns = 456,
				       .comments = comments,
				       .n_comments = 2});
	assert_int_equal(pprof_n_sample_types(f.profile), 2);
	check_type(f.profile, 0, "samples", "count");
	check_type(f.profile, 1, "cpu", "nanoseconds");
	assert_string_equal(pprof_default_type(f.profile), "");
	assert_string_equal(pprof_drop_frames(f.profile), "");
	assert_int_equal(pprof_period(f.profile), 10101010);
	assert_int_equal(pprof_time_ns(f.profile), 123);
	assert_int_equal(pprof_duration_ns(f.profile), 456);
	assert_int_equal(pprof_n_comments(f.profile), 2);
	assert_string_equal(pprof_comment(f.profile, 1), "two");
	frozen_done(&f);
	frozen_done(&f);
	world_done(&w);
}

static void test_heap_header(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 4);
	f = freeze(&w, (struct freeze){.type = PROFILE_HEAP, .period = 524288});
	assert_int_equal(pprof_n_sample_types(f.profile), 4);
	check_type(f.profile, 0, "alloc_objects", "count");
	check_type(f.profile, 1, "alloc_space", "bytes");
	check_type(f.profile, 2, "inuse_objects", "count");
	check_type(f.profile, 3, "inuse_space", "bytes");
	assert_string_equal(pprof_default_type(f.profile), "inuse_space");
	frozen_done(&f);
	assert_int_equal(
		freeze_aggregate(w.modules, w.a, &(struct freeze){.type = PROFILE_CPU}, &f),
		-EINVAL);
	world_done(&w);
}

/* One sample of each of @values, in the shape of @n_values. */
static void add_values(struct world *w, uint64_t offset, const int64_t *values)
{
	struct frame frame = {w->lib->id, offset};
	struct sample s = {.frames = &frame, .n_frames = 1};

	memcpy(s.values, values, aggregate_n_values(w->a) * sizeof(*values));
	assert_int_equal(aggregate_add(w->a, &s), 0);
}

static void check_period(const struct pprof *p, const char *type, const char *unit, int64_t period)
{
	const char *t, *u;

	pprof_period_type(p, &t, &u);
	assert_string_equal(t, type);
	assert_string_equal(u, unit);
	assert_int_equal(pprof_period(p), period);
}

static void test_cycles_header(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 3);
	add_values(&w, 0x1010, (int64_t[]){1, 1000, 10});
	add_values(&w, 0x1020, (int64_t[]){3, 5000, 30});
	f = freeze(&w, (struct freeze){.type = PROFILE_CYCLES, .event = "cycles"});
	assert_int_equal(pprof_n_sample_types(f.profile), 3);
	check_type(f.profile, 0, "samples", "count");
	check_type(f.profile, 1, "cycles", "count");
	check_type(f.profile, 2, "cpu", "nanoseconds"); /* the last is shown by default */
	check_period(f.profile, "cycles", "count", 1500);
	frozen_done(&f);
	world_done(&w);
}

static void test_event_header(void **state)
{
	struct world w;
	struct frozen f, other;

	world_init(&w, 2);
	add_values(&w, 0x1010, (int64_t[]){2, 40});
	f = freeze(&w, (struct freeze){.type = PROFILE_EVENT, .event = "page-faults"});
	check_type(f.profile, 0, "samples", "count");
	check_type(f.profile, 1, "page-faults", "count");
	check_period(f.profile, "page-faults", "count", 20);
	other = freeze(&w,
		       (struct freeze){.type = PROFILE_EVENT, .event = "page-faults", .period = 7});
	check_period(other.profile, "page-faults", "count", 7);
	assert_true(pprof_same_kind(f.profile, other.profile));
	frozen_done(&other);
	other = freeze(&w, (struct freeze){.type = PROFILE_EVENT, .event = "sched:sched_switch"});
	assert_false(pprof_same_kind(f.profile, other.profile));
	frozen_done(&other);
	other = freeze(&w, (struct freeze){.type = PROFILE_CPU, .period = 7});
	check_period(other.profile, "cpu", "nanoseconds", 7);
	assert_false(pprof_same_kind(f.profile, other.profile));
	frozen_done(&other);
	frozen_done(&f);
	assert_int_equal(
		freeze_aggregate(w.modules, w.a, &(struct freeze){.type = PROFILE_EVENT}, &f),
		-EINVAL);
	world_done(&w);
}

static void test_event_that_never_happened(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	f = freeze(&w, (struct freeze){.type = PROFILE_EVENT, .event = "page-faults"});
	check_period(f.profile, "page-faults", "count", 0);
	frozen_done(&f);
	world_done(&w);
}

static void test_offcpu_header(void **state)
{
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	f = freeze(&w, (struct freeze){.type = PROFILE_OFFCPU, .period = 1});
	assert_int_equal(pprof_n_sample_types(f.profile), 2);
	check_type(f.profile, 0, "waits", "count");
	check_type(f.profile, 1, "offcpu", "nanoseconds");
	assert_string_equal(pprof_default_type(f.profile), "offcpu");
	assert_non_null(strstr(pprof_drop_frames(f.profile), "schedule"));
	frozen_done(&f);
	world_done(&w);
}

static void test_names_of_types(void **state)
{
	assert_string_equal(profile_type_name(PROFILE_HEAP), "heap");
	assert_string_equal(profile_type_name(PROFILE_OFFCPU), "offcpu");
	assert_string_equal(profile_type_name(PROFILE_CPU), "cpu");
	assert_string_equal(profile_type_name(PROFILE_CYCLES), "cpu");
}

static void test_filters(void **state)
{
	struct world w;
	struct frozen f;
	struct pprof_sample s;
	struct frame frames[] = {{0, 0x1010}, {0, 0x1020}, {0, 0x1030}};
	struct sample_labels labels[] = {
		{.pid = 1, .comm = "one", .unit = "a.service"},
		{.pid = 2, .comm = "two", .unit = "a.service"},
		{.pid = 3},
	};

	world_init(&w, 2);
	for (size_t i = 0; i < 3; i++) {
		frames[i].module = w.lib->id;
		add(&w, &frames[i], 1, &labels[i]);
	}
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .only_pid = 2});
	assert_int_equal(pprof_n_samples(f.profile), 1);
	assert_int_equal(pprof_n_locations(f.profile), 1);
	assert_int_equal(leaf_offset(&f, 0), 0x1020);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .only_comm = "one"});
	assert_int_equal(pprof_n_samples(f.profile), 1);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .only_unit = "a.service"});
	assert_int_equal(pprof_n_samples(f.profile), 2);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .only_unit = "b.service"});
	assert_int_equal(pprof_n_samples(f.profile), 0);
	assert_int_equal(pprof_n_mappings(f.profile), 0);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	assert_int_equal(pprof_n_samples(f.profile), 3);
	pprof_sample(f.profile, 0, &s);
	assert_int_equal(s.values[1], 100);
	frozen_done(&f);
	world_done(&w);
}

static void test_labels(void **state)
{
	struct world w;
	struct frozen f;
	struct frame frame;
	struct sample_labels labels = {
		.pid = 10, .tid = 11, .comm = "c", .thread = "t", .unit = "u", .bytes = 4096};
	struct pprof_label l;
	struct pprof_sample s;

	world_init(&w, 4);
	frame = (struct frame){w.lib->id, 0x1010};
	add(&w, &frame, 1, &labels);
	f = freeze(&w, (struct freeze){.type = PROFILE_HEAP});
	pprof_sample(f.profile, 0, &s);
	assert_int_equal(s.n_labels, 1); /* a heap is one process's */
	pprof_sample_label(f.profile, 0, 0, &l);
	assert_string_equal(l.key, "bytes");
	assert_string_equal(l.unit, "bytes");
	assert_int_equal(l.num, 4096);
	frozen_done(&f);
	world_done(&w);

	world_init(&w, 2);
	labels.bytes = 0;
	frame.module = w.lib->id;
	add(&w, &frame, 1, &labels);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU});
	pprof_sample(f.profile, 0, &s);
	assert_int_equal(s.n_labels, 5);
	pprof_sample_label(f.profile, 0, 0, &l);
	assert_string_equal(l.key, "pid");
	assert_null(l.str);
	assert_int_equal(l.num, 10);
	pprof_sample_label(f.profile, 0, 4, &l);
	assert_string_equal(l.key, "unit");
	assert_string_equal(l.str, "u");
	frozen_done(&f);
	world_done(&w);
}

static void test_entries_of_nothing_are_left_out(void **state)
{
	struct world w;
	struct frozen f;
	struct frame frame;
	struct sample s = {.frames = &frame, .n_frames = 1};

	world_init(&w, 4);
	frame = (struct frame){w.lib->id, 0x1010};
	assert_int_equal(aggregate_add(w.a, &s), 0);
	f = freeze(&w, (struct freeze){.type = PROFILE_HEAP});
	assert_int_equal(pprof_n_samples(f.profile), 0);
	frozen_done(&f);
	world_done(&w);
}

/* ---- as Go sees it */

static char *write_profile(const struct pprof *p)
{
	char *path = strdup("/tmp/profd-test-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(pprof_write_gzip(p, fd), 0);
	close(fd);
	return path;
}

static void name(struct pprof *p, uint64_t id, const char *text)
{
	struct pprof_line line = {.name = text, .system_name = text, .file = "f.cc", .line = 3};

	assert_int_equal(pprof_set_lines(p, id, &line, 1), 0);
}

static bool has_flat(const char *top, const char *name)
{
	_cleanup_free_ char *copy = strdup(top);
	char *save;

	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		double flat;
		size_t n = strlen(l), k = strlen(name);

		if (n > k && !strcmp(l + n - k, name) && l[n - k - 1] == ' ')
			return sscanf(l, " %lf", &flat) == 1 && flat > 0;
	}
	return false;
}

static void test_go_accepts_a_whole_machine(void **state)
{
	struct world w;
	struct frozen f;
	struct frame frames[5];
	struct sample_labels labels = {.pid = 10, .tid = 11, .comm = "c", .unit = "u.service"};
	_cleanup_free_ char *path = NULL, *json = NULL, *text = NULL, *tags = NULL;

	world_init(&w, 2);
	frames[0] = (struct frame){w.kernel->id, 0xffffffff81234567};
	frames[1] = (struct frame){w.jit->id, 0x200123};
	frames[2] = (struct frame){w.lib->id, 0x1234};
	frames[3] = (struct frame){w.main->id, 0x1234};
	frames[4] = (struct frame){w.note->id, 0};
	add(&w, frames, 5, &labels);
	add_one(&w, new_file(&w, "/usr/bin/other", 20, 0x7f0000008000), 0x1234);
	add_one(&w, NULL, 0x1234567);
	f = freeze(&w, (struct freeze){
			       .type = PROFILE_CPU, .period = 10101010, .main_module = w.main->id});
	path = write_profile(f.profile);
	json = go_check(path);
	assert_non_null(strstr(json, "\"samples\":3"));
	assert_non_null(strstr(json, "\"period_type\":\"cpu/nanoseconds\""));
	assert_non_null(strstr(json, "\"mappings\":[{\"start\":93458488360960"));
	assert_null(strstr(json, "\"symbolized\":true"));
	text = go_pprof("-raw", path);
	assert_non_null(strstr(text, "[truncated]"));
	assert_non_null(strstr(text, "0xffffffff81234567"));
	tags = go_pprof("-traces -symbolize=none -tagfocus=pid=10", path);
	assert_non_null(strstr(tags, "u.service"));
	assert_null(strstr(tags, "0x1234567"));
	unlink(path);
	frozen_done(&f);
	world_done(&w);
}

/* The flat value is that of whoever called the allocator. */
static void test_go_attributes_memory_to_the_caller(void **state)
{
	static const char *const names[][3] = {
		{"operator new(unsigned long)", "caller0(int)", "main"},
		{"operator new[](unsigned long)", "caller1()", "main"},
		{"strdup", "caller2", "main"},
		{"std::__new_allocator<std::pair<int, long> >::allocate(unsigned long, void "
		 "const*)",
		 "caller3", "main"},
		{"std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)",
		 "std::vector<int, std::allocator<int> >::reserve(unsigned long)", "main"},
		{"__rust_alloc", "caller5", "main"},
		/* mentions allocators, and is none */
		{"user_code", "std::for_each<std::allocator<int>::allocate>", "main"},
		{"my::pool::allocate(int)", "caller7", "main"},
		{"operator new(unsigned long)", "(anonymous namespace)::Caller::operator()(int)",
		 "main"},
	};
	static const char *const expected[] = {
		"caller0",
		"caller1",
		"caller2",
		"caller3",
		"std::vector::reserve",
		"caller5",
		"user_code",
		"my::pool::allocate",
		"Caller::operator",
	};
	struct world w;
	struct frozen f;
	_cleanup_free_ char *path = NULL, *top = NULL, *json = NULL;

	world_init(&w, 4);
	for (uint64_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct frame frames[3];

		for (uint64_t j = 0; j < 3; j++)
			frames[j] = (struct frame){w.lib->id, 0x1000 + i * 16 + j};
		add(&w, frames, 3, NULL);
	}
	f = freeze(&w, (struct freeze){.type = PROFILE_HEAP, .period = 524288});
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct pprof_sample s;

		pprof_sample(f.profile, i, &s);
		for (size_t j = 0; j < 3; j++)
			name(f.profile, s.locations[j], names[i][j]);
	}
	assert_int_equal(pprof_set_symbolized(f.profile, 1), 0);
	path = write_profile(f.profile);
	json = go_check(path);
	assert_non_null(strstr(json, "\"default\":\"inuse_space\""));
	top = go_pprof("-top -nodecount=100 -nodefraction=0", path);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		if (!strstr(top, expected[i]))
			fail_msg("%s is not in\n%s", expected[i], top);
	}
	assert_null(strstr(top, "operator new"));
	assert_null(strstr(top, "strdup"));
	assert_null(strstr(top, "__new_allocator"));
	assert_null(strstr(top, "_M_allocate"));
	assert_null(strstr(top, "__rust_alloc"));
	assert_true(has_flat(top, "caller2"));
	assert_true(has_flat(top, "user_code"));
	unlink(path);
	frozen_done(&f);
	world_done(&w);
}

static void test_only_lives_and_no_kernel(void **state)
{
	static const uint32_t lives[] = {3, 7};
	struct world w;
	struct frozen f;

	world_init(&w, 2);
	for (uint32_t life = 1; life < 10; life++) {
		struct frame frames[] = {{w.kernel->id, 0xffffffff81000000 + life},
					 {w.main->id, 0x1000 + life}};

		add(&w, frames, 2, &(struct sample_labels){.pid = 1, .life = life});
	}
	add(&w, &(struct frame){w.kernel->id, 0xffffffff82000000}, 1,
	    &(struct sample_labels){.pid = 1, .life = 7});
	f = freeze(&w,
		   (struct freeze){.type = PROFILE_CPU, .only_lives = lives, .n_only_lives = 2});
	assert_int_equal(pprof_n_samples(f.profile), 3);
	assert_int_equal(pprof_n_mappings(f.profile), 2);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU,
				       .only_lives = lives,
				       .n_only_lives = 2,
				       .no_kernel = true});
	assert_int_equal(pprof_n_samples(f.profile), 3);
	assert_int_equal(pprof_n_mappings(f.profile), 1);
	for (size_t i = 0; i < 3; i++) {
		struct pprof_sample sample;

		pprof_sample(f.profile, i, &sample);
		assert_int_equal(sample.n_locations, i < 2 ? 1 : 0);
	}
	assert_int_equal(leaf_offset(&f, 0), 0x1003);
	frozen_done(&f);
	f = freeze(&w, (struct freeze){.type = PROFILE_CPU, .only_lives = lives});
	assert_int_equal(pprof_n_samples(f.profile), 0); /* none may be seen: not all */
	frozen_done(&f);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu_header),
		cmocka_unit_test(test_heap_header),
		cmocka_unit_test(test_cycles_header),
		cmocka_unit_test(test_event_header),
		cmocka_unit_test(test_event_that_never_happened),
		cmocka_unit_test(test_offcpu_header),
		cmocka_unit_test(test_names_of_types),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_entries_of_nothing_are_left_out),
		cmocka_unit_test(test_go_accepts_a_whole_machine),
		cmocka_unit_test(test_go_attributes_memory_to_the_caller),
		cmocka_unit_test(test_only_lives_and_no_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
