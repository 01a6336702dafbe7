/* Labels out of heap tables: honest ones exactly, hostile ones put right or left out. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "profd/base.h"
#include "proto/heap_table.h"

#define PAGE	    4096
#define TABLE_BYTES (8 * PAGE)
#define TID	    77

static struct table {
	struct heap_header header;
} * table;
static int fd;

static void *at(const struct heap_region *region)
{
	return (char *)table + region->offset;
}

static int setup(void **state)
{
	struct heap_labels *l;

	fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, TABLE_BYTES), 0);
	table = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(table != MAP_FAILED);
	table->header = (struct heap_header){.magic = HEAP_TABLE_MAGIC,
					     .version = HEAP_TABLE_VERSION,
					     .header_bytes = sizeof(struct heap_header),
					     .table_bytes = TABLE_BYTES};
	l = &table->header.labels;
	l->on = 1;
	l->sets = (struct heap_region){PAGE, 16, sizeof(struct heap_label_set), 0, 0};
	l->text = (struct heap_region){2 * PAGE, PAGE, 1, 0, 0};
	l->threads = (struct heap_region){3 * PAGE, 2, sizeof(uint32_t), 1, 0};
	l->histories = (struct heap_region){4 * PAGE, 2, sizeof(struct heap_label_history), 0, 0};
	*(uint32_t *)at(&l->threads) = TID;
	return 0;
}

static int teardown(void **state)
{
	munmap(table, TABLE_BYTES);
	close(fd);
	return 0;
}

static void add_set(const char *text, uint32_t bytes)
{
	struct heap_labels *l = &table->header.labels;
	struct heap_label_set *set = (struct heap_label_set *)at(&l->sets) + l->sets.used++;

	*set = (struct heap_label_set){
		.ready = 1, .text_offset = l->text.used, .text_bytes = bytes};
	memcpy((char *)at(&l->text) + l->text.used, text, bytes);
	l->text.used += bytes;
}

#define ADD(text) add_set(text, sizeof(text))

static void reads(const char *wanted)
{
	struct heap_copy_labels labels;

	assert_int_equal(heap_table_labels(fd, &table->header, &labels), 0);
	assert_int_equal(labels.n_sets, table->header.labels.sets.used);
	if (wanted)
		assert_string_equal(labels.sets[labels.n_sets - 1], wanted);
	else
		assert_null(labels.sets[labels.n_sets - 1]);
	heap_copy_labels_done(&labels);
}

static void test_reads_sets(void **state)
{
	ADD("a\0one\0b\0two");
	reads("a\x1fone\x1f"
	      "b\x1ftwo\x1f");
	table->header.labels.on = 0;
	table->header.labels.sets.used = 0;
	add_set("", 0);
	table->header.labels.on = 1;
	reads(NULL);
}

static void test_cleans_text(void **state)
{
	ADD("a\xff\0x\x1fy\n");
	reads("a\xef\xbf\xbd\x1fx_y_\x1f");
	ADD("k\xff\0first\0k\xfe\0second"); /* alike when cleaned */
	reads("k\xef\xbf\xbd\x1f"
	      "first\x1f");
}

static void test_leaves_out_keys_of_ours(void **state)
{
	ADD("pid\0"
	    "1\0pprof::x\0"
	    "2\0\0"
	    "3\0bytes\0"
	    "4\0pids\0"
	    "5\0empty\0");
	reads("pids\x1f"
	      "5\x1f");
	ADD("unit\0x");
	reads(NULL);
}

static void test_bounds_sets(void **state)
{
	struct heap_labels *l = &table->header.labels;
	struct heap_label_set *sets = at(&l->sets);
	struct heap_copy_labels labels;

	ADD("a\0"
	    "1\0b\0"
	    "2\0c\0"
	    "3\0d\0"
	    "4\0e\0"
	    "5\0f\0"
	    "6\0g\0"
	    "7\0h\0"
	    "8\0i\0"
	    "9");
	reads("a\x1f"
	      "1\x1f"
	      "b\x1f"
	      "2\x1f"
	      "c\x1f"
	      "3\x1f"
	      "d\x1f"
	      "4\x1f"
	      "e\x1f"
	      "5\x1f"
	      "f\x1f"
	      "6\x1f"
	      "g\x1f"
	      "7\x1f"
	      "h\x1f"
	      "8\x1f");
	l->text.used = PAGE;
	sets[0].text_bytes = HEAP_LABELS_MAX_BYTES * 4;
	reads(NULL);
	sets[0].text_bytes = 4;
	sets[0].text_offset = UINT32_MAX - 1;
	reads(NULL);
	l->sets.offset = TABLE_BYTES;
	assert_int_equal(heap_table_labels(fd, &table->header, &labels), -EBADMSG);
	l->sets.offset = UINT64_MAX - 8;
	assert_int_equal(heap_table_labels(fd, &table->header, &labels), -EBADMSG);
}

static void change(uint64_t us, uint32_t set)
{
	struct heap_label_history *h = at(&table->header.labels.histories);

	h->changes[h->count++ % HEAP_LABEL_CHANGES] = HEAP_LABEL_CHANGE(us * 1024, set);
}

static int set_at(uint64_t us)
{
	uint32_t set;
	int r = heap_table_set_at(fd, TID, us * 1024, &set);

	return r < 0 ? r : (int)set;
}

static void test_finds_the_set_of_the_time(void **state)
{
	uint32_t set;

	change(10, 1);
	change(20, 2);
	change(30, 0);
	assert_int_equal(set_at(9), 0);
	assert_int_equal(set_at(10), 1);
	assert_int_equal(set_at(19), 1);
	assert_int_equal(set_at(20), 2);
	assert_int_equal(set_at(1000), 0);
	assert_int_equal(heap_table_set_at(fd, TID + 1, 15 * 1024, &set), 0);
	assert_int_equal(set, 0);
	table->header.labels.threads_lost = 1;
	assert_int_equal(heap_table_set_at(fd, TID + 1, 15 * 1024, &set), -ENODATA);
	assert_int_equal(set_at(10), 1);
}

static void test_says_what_is_overwritten(void **state)
{
	for (unsigned i = 1; i <= HEAP_LABEL_CHANGES + 10; i++)
		change(i, i);
	assert_int_equal(set_at(5), -ENODATA);
	assert_int_equal(set_at(11), -ENODATA); /* may be being written */
	assert_int_equal(set_at(12), 12);
	assert_int_equal(set_at(100000), HEAP_LABEL_CHANGES + 10);
}

static void test_bounds_histories(void **state)
{
	struct heap_label_history *h = at(&table->header.labels.histories);

	h->count = UINT64_MAX;
	assert_int_equal(set_at(5), -ENODATA);
	table->header.labels.histories.offset = UINT64_MAX - 100;
	assert_int_equal(set_at(5), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cleans_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves_out_keys_of_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finds_the_set_of_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_says_what_is_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds_histories, setup, teardown),
	};

	return cmocka_run_group_tests_name("proto-heap-labels", tests, NULL, NULL);
}
