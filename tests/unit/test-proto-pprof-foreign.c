/* proto/pprof: decoding what others wrote, and what nobody should. */
#include "tests/unit/pprof-example.h"

#include <errno.h>

#include "profd/base.h"
#include "proto/profile.pb-c.h"

/* A well-formed foreign profile, in which each test breaks one thing. */
struct foreign {
	Perftools__Profiles__Profile profile;
	Perftools__Profiles__ValueType type, period, *types[1];
	Perftools__Profiles__Mapping mapping, *mappings[1];
	Perftools__Profiles__Function function, *functions[2], second;
	Perftools__Profiles__Line line, *lines[1];
	Perftools__Profiles__Location location, *locations[1];
	Perftools__Profiles__Label label, *labels[1];
	Perftools__Profiles__Sample sample, *samples[1];
	char *strings[4];
	uint64_t ids[2];
	int64_t values[1], comments[1];
};

static void foreign_init(struct foreign *f)
{
	memset(f, 0, sizeof(*f));
	perftools__profiles__profile__init(&f->profile);
	perftools__profiles__value_type__init(&f->type);
	perftools__profiles__value_type__init(&f->period);
	perftools__profiles__mapping__init(&f->mapping);
	perftools__profiles__function__init(&f->function);
	perftools__profiles__function__init(&f->second);
	perftools__profiles__line__init(&f->line);
	perftools__profiles__location__init(&f->location);
	perftools__profiles__label__init(&f->label);
	perftools__profiles__sample__init(&f->sample);
	memcpy(f->strings, (char *[]){"", "one", "two", "three"}, sizeof(f->strings));
	f->profile.n_string_table = 4;
	f->profile.string_table = f->strings;
#define TABLE(field, array, item)                                                                  \
	do {                                                                                       \
		f->array[0] = &f->item;                                                            \
		f->profile.n_##field = 1;                                                          \
		f->profile.field = f->array;                                                       \
	} while (0)
	TABLE(sample_type, types, type);
	TABLE(mapping, mappings, mapping);
	TABLE(function, functions, function);
	TABLE(location, locations, location);
	TABLE(sample, samples, sample);
#undef TABLE
	f->functions[1] = &f->second;
	f->second.id = 77;
	f->second.name = 3;
	f->profile.n_function = 2;
	f->profile.period_type = &f->period;
	f->profile.keep_frames = 2;
	f->profile.n_comment = 1;
	f->profile.comment = f->comments;
	f->comments[0] = 3;
	f->type.type = 1;
	f->mapping.id = 1000;
	f->mapping.has_filenames = 1;
	f->function.id = UINT64_MAX;
	f->function.name = 2;
	f->line.function_id = UINT64_MAX;
	f->line.column = 9;
	f->lines[0] = &f->line;
	f->location.id = 5;
	f->location.mapping_id = 1000;
	f->location.n_line = 1;
	f->location.line = f->lines;
	f->labels[0] = &f->label;
	f->label.key = 1;
	f->label.str = 2;
	f->ids[0] = f->ids[1] = 5;
	f->sample.n_location_id = 2;
	f->sample.location_id = f->ids;
	f->sample.n_value = 1;
	f->sample.value = f->values;
	f->sample.n_label = 1;
	f->sample.label = f->labels;
}

static int foreign_decode(const struct foreign *f, struct pprof **ret)
{
	size_t n = perftools__profiles__profile__get_packed_size(&f->profile);
	uint8_t *bytes = malloc(n);
	int r;

	perftools__profiles__profile__pack(&f->profile, bytes);
	r = pprof_decode(bytes, n, LIMIT, ret);
	free(bytes);
	return r;
}

static void test_foreign_ids_become_positions(void **state)
{
	struct foreign f;
	struct pprof *p;
	struct pprof_location l;
	struct pprof_line line;
	struct pprof_sample s;

	foreign_init(&f);
	assert_int_equal(foreign_decode(&f, &p), 0);
	pprof_sample(p, 0, &s);
	assert_int_equal(s.n_locations, 2);
	assert_int_equal(s.locations[0], 1);
	pprof_location(p, 1, &l);
	assert_int_equal(l.mapping, 1);
	pprof_location_line(p, 1, 0, &line);
	assert_string_equal(line.name, "two");
	pprof_free(p);
}

static void test_what_profd_does_not_use_survives(void **state)
{
	struct foreign f;
	struct pprof *p;
	struct bytes b;
	Perftools__Profiles__Profile *m;

	foreign_init(&f);
	f.profile.doc_url = 1;
	assert_int_equal(foreign_decode(&f, &p), 0);
	b = encode(p);
	m = perftools__profiles__profile__unpack(NULL, b.n, b.data);
	assert_non_null(m);
	assert_string_equal(m->string_table[m->keep_frames], "two");
	assert_string_equal(m->string_table[m->doc_url], "one");
	assert_non_null(m->period_type);
	assert_int_equal(m->mapping[0]->has_filenames, 1);
	assert_int_equal(m->mapping[0]->has_functions, 0);
	assert_int_equal(m->location[0]->line[0]->column, 9);
	perftools__profiles__profile__free_unpacked(m, NULL);
	free(b.data);
	pprof_free(p);
}

static void test_equal_locations_stay_apart(void **state)
{
	struct foreign f;
	struct pprof *p;
	Perftools__Profiles__Location other, *both[2];

	foreign_init(&f);
	other = f.location;
	other.id = 6;
	both[0] = &f.location;
	both[1] = &other;
	f.profile.n_location = 2;
	f.profile.location = both;
	f.ids[1] = 6;
	assert_int_equal(foreign_decode(&f, &p), 0);
	assert_int_equal(pprof_n_locations(p), 2);
	pprof_free(p);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct foreign f;                                                                  \
		struct pprof *p = NULL;                                                            \
                                                                                                   \
		foreign_init(&f);                                                                  \
		change;                                                                            \
		assert_int_equal(foreign_decode(&f, &p), -EBADMSG);                                \
	} while (0)

static void test_every_index_is_checked(void **state)
{
	REFUSED(f.strings[0] = "x");
	REFUSED(f.profile.n_string_table = 0);
	REFUSED(f.profile.n_string_table = 3);
	REFUSED(f.profile.drop_frames = 4);
	REFUSED(f.profile.keep_frames = -1);
	REFUSED(f.profile.default_sample_type = 4);
	REFUSED(f.profile.doc_url = INT64_MAX);
	REFUSED(f.comments[0] = 4);
	REFUSED(f.type.type = 4);
	REFUSED(f.type.unit = INT64_MIN);
	REFUSED(f.period.unit = 4);
	REFUSED(f.mapping.filename = 4);
	REFUSED(f.mapping.build_id = 4);
	REFUSED(f.function.name = 4);
	REFUSED(f.function.system_name = 4);
	REFUSED(f.function.filename = 4);
	REFUSED(f.label.key = 4);
	REFUSED(f.label.str = -2);
	REFUSED(f.label.num_unit = 1LL << 32);
	REFUSED(f.mapping.id = 0);
	REFUSED(f.function.id = 0);
	REFUSED(f.function.id = 77); /* twice the same */
	REFUSED(f.location.id = 0);
	REFUSED(f.location.mapping_id = 1);
	REFUSED(f.line.function_id = 1);
	REFUSED(f.line.function_id = 0);
	REFUSED(f.ids[1] = 1);
	REFUSED(f.ids[1] = 0);
	REFUSED(f.sample.n_value = 0);
	REFUSED(f.profile.n_sample_type = 0);
}

static void test_garbage_is_refused(void **state)
{
	static const char *const cases[] = {"",
					    "\n",
					    "not a profile at all",
					    "{\"json\": 1}",
					    "\x1f\x8b",
					    "\x0a\xff\xff\xff\xff\x0f"};
	struct pprof *p;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			pprof_decode((const uint8_t *)cases[i], strlen(cases[i]), LIMIT, &p),
			-EBADMSG);
}

/* Two bytes each in the file, and eighty in memory. */
static void test_empty_messages_do_not_eat_the_memory(void **state)
{
	const size_t n = 2u << 20;
	uint8_t *bytes = calloc(1, n);
	struct pprof *p;

	for (size_t i = 0; i < n; i += 2)
		bytes[i] = 0x12; /* sample, length 0 */
	assert_int_equal(pprof_decode(bytes, n, n, &p), -EFBIG);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreign_ids_become_positions),
		cmocka_unit_test(test_what_profd_does_not_use_survives),
		cmocka_unit_test(test_equal_locations_stay_apart),
		cmocka_unit_test(test_every_index_is_checked),
		cmocka_unit_test(test_garbage_is_refused),
		cmocka_unit_test(test_empty_messages_do_not_eat_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
