/*
 * What resident memory consists of: smaps and the threads' stack pointers.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "daemon/proc/memory.h"
#include "daemon/proc/pids.h"
#include "profd/base.h"

#define MIB (1ULL << 20)

static int read_text(const char *text, const uint64_t *pointers, size_t n,
		     struct process_memory *ret)
{
	_cleanup_close_ int fd = memfd_create("smaps", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	lseek(fd, 0, SEEK_SET);
	return memory_read_smaps(fd, pointers, n, ret);
}

static void test_each_kind_of_mapping(void **state)
{
	static const char text[] =
		"00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/x\nRss: 100 kB\n"
		"Anonymous: 4 kB\nSwap: 8 kB\nVmFlags: rd ex\n"
		"01000000-02000000 rw-p 00000000 00:00 0    [heap]\nRss: 1000 kB\nAnonymous: 1000 "
		"kB\n"
		"7f0010000000-7f0010001000 ---p 00000000 00:00 0 \nRss: 0 kB\nAnonymous: 0 kB\n"
		"7f0010001000-7f0010801000 rw-p 00000000 00:00 0 \nRss: 64 kB\nAnonymous: 64 kB\n"
		"7f0010801000-7f0010901000 rw-p 00000000 00:00 0 [anon:mine]\nRss: 32 kB\n"
		"Anonymous: 32 kB\n"
		"7f0020000000-7f0020100000 rw-s 00000000 00:01 5 /memfd:profd-heap (deleted)\n"
		"Rss: 16 kB\nAnonymous: 0 kB\n"
		"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\nRss: 12 kB\n"
		"Anonymous: 12 kB\n";
	static const uint64_t pointers[] = {0x1800000, 0x7f0010700000, 0x7ffc00020000};
	struct process_memory m;

	assert_int_equal(read_text(text, pointers, 3, &m), 0);
	assert_int_equal(m.rss, (100 + 1000 + 64 + 32 + 16 + 12) * 1024);
	assert_int_equal(m.anonymous, (4 + 1000 + 64 + 32 + 12) * 1024);
	assert_int_equal(m.swap, 8 * 1024);
	assert_int_equal(m.stacks, (64 + 12) * 1024);
	assert_int_equal(m.glibc_areas, 1000 * 1024);
	assert_int_equal(m.table, 16 * 1024);
	/* the one whose stack lies in the heap has none of its own */
	assert_int_equal(m.threads_found, 2);
	assert_true(m.by_mapping);
}

/* A busy main thread tells no pointer; its stack has a name. */
static void test_main_stack_without_pointer(void **state)
{
	struct process_memory m;

	assert_int_equal(read_text("7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n"
				   "Rss: 12 kB\nAnonymous: 12 kB\n",
				   NULL, 0, &m),
			 0);
	assert_int_equal(m.stacks, 12 * 1024);
	assert_int_equal(m.threads_found, 1);
}

static uint64_t areas_of(const char *text)
{
	struct process_memory m;

	assert_int_equal(read_text(text, NULL, 0, &m), 0);
	return m.glibc_areas;
}

static void test_arenas_by_their_shape(void **state)
{
	/* in use up to a point, reserved up to the next 64 MiB */
	assert_int_equal(areas_of("7f0010000000-7f0010021000 rw-p 00000000 00:00 0 \n"
				  "Rss: 8 kB\nAnonymous: 8 kB\n"
				  "7f0010021000-7f0014000000 ---p 00000000 00:00 0 \nRss: 0 kB\n"),
			 8192);
	/* full, the last mapping of all */
	assert_int_equal(areas_of("7f0010000000-7f0014000000 rw-p 00000000 00:00 0 \n"
				  "Rss: 8 kB\nAnonymous: 8 kB\n"),
			 8192);
	/* aligned, but nothing is reserved behind it */
	assert_int_equal(areas_of("7f0010000000-7f0010021000 rw-p 00000000 00:00 0 \n"
				  "Rss: 8 kB\nAnonymous: 8 kB\n"
				  "7f0010021000-7f0010022000 ---p 00000000 00:00 0 \n"),
			 0);
	/* reserved behind it, but not aligned */
	assert_int_equal(areas_of("7f0010001000-7f0010021000 rw-p 00000000 00:00 0 \n"
				  "Rss: 8 kB\nAnonymous: 8 kB\n"
				  "7f0010021000-7f0014000000 ---p 00000000 00:00 0 \n"),
			 0);
}

static void test_hostile_text(void **state)
{
	struct process_memory m;

	assert_int_equal(read_text("", NULL, 0, &m), -ESRCH);
	assert_int_equal(read_text("Rss: 5 kB\nnonsense\n", NULL, 0, &m), -ESRCH);
	/* a path that looks like a line is one line with the path in it */
	assert_int_equal(read_text("1000-2000 r--p 00000000 08:02 1 /x\\012Rss: 99 kB\n"
				   "Rss: 4 kB\nRss: 99999999999999999999 kB\n",
				   NULL, 0, &m),
			 0);
	assert_int_equal(m.rss, 4096);
}

static void test_too_much_text(void **state)
{
	_cleanup_close_ int fd = memfd_create("smaps", MFD_CLOEXEC);
	struct process_memory m;
	FILE *f = fdopen(dup(fd), "we");

	for (int i = 0; i < 400000; i++)
		fprintf(f, "%x-%x rw-p 00000000 00:00 0 \n", i + 1, i + 2);
	fclose(f);
	assert_true(lseek(fd, 0, SEEK_END) < 16 << 20);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(memory_read_smaps(fd, NULL, 0, &m), 0);
	f = fdopen(dup(fd), "ae");
	for (int i = 0; i < 400000; i++)
		fprintf(f, "%x-%x rw-p 00000000 00:00 0 \n", i + 1, i + 2);
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(memory_read_smaps(fd, NULL, 0, &m), -EFBIG);
}

static void test_stack_pointers(void **state)
{
	uint64_t pointer;

	assert_int_equal(memory_parse_stack_pointer("230 0x0 0x0 0x7ffc39c80250 0x7ffc39c80290 0x0 "
						    "0x0 0x7ffc39c80238 0x7fdab0b61503\n",
						    &pointer),
			 0);
	assert_true(pointer == 0x7ffc39c80238);
	assert_int_equal(memory_parse_stack_pointer("-1 0x7ffc39c80238 0x1\n", &pointer), 0);
	assert_true(pointer == 0x7ffc39c80238);
	assert_int_equal(memory_parse_stack_pointer("running\n", &pointer), -EAGAIN);
	assert_int_equal(memory_parse_stack_pointer("", &pointer), -EBADMSG);
	assert_int_equal(memory_parse_stack_pointer("1\n", &pointer), -EBADMSG);
	assert_int_equal(memory_parse_stack_pointer("0xzz 0x1\n", &pointer), -EBADMSG);
}

static void on_pid(pid_t pid, void *userdata)
{
	if (pid == getpid())
		++*(int *)userdata;
}

static bool on_first_thread(pid_t tid, void *userdata)
{
	++*(int *)userdata;
	return false;
}

static void *wait_for_it(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	return NULL;
}

static void test_ids_and_own_memory(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct process_memory m;
	struct keeper *keeper;
	pthread_t thread;
	int n = 0;

	assert_int_equal(keeper_new_local(&keeper), 0);
	assert_int_equal(process_each_pid(keeper, on_pid, &n), 0);
	assert_int_equal(n, 1);
	pthread_mutex_lock(&lock);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_it, &lock), 0);
	n = 0;
	assert_int_equal(process_each_thread(keeper, getpid(), on_first_thread, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(process_read_memory(keeper, getpid(), &m), 0);
	assert_int_equal(m.threads, 2);
	assert_true(m.stacks > 0 && m.stacks <= m.anonymous && m.anonymous <= m.rss);
	assert_true(process_read_memory(keeper, 0, &m) < 0);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	keeper_free(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_mapping),
		cmocka_unit_test(test_main_stack_without_pointer),
		cmocka_unit_test(test_arenas_by_their_shape),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_too_much_text),
		cmocka_unit_test(test_stack_pointers),
		cmocka_unit_test(test_ids_and_own_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
