/* The table of clients: who a table belongs to, also when its process is going. */
#include "daemon/heap/client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "profd/base.h"
#include "profd/heap_table.h"

#define TABLE_BYTES 4096
#define ATTEMPTS    3000

static struct keeper *keeper;
static struct heap_clients *clients;

/* The smallest table that passes: a header whose regions are empty. */
static int make_table(void)
{
	struct heap_header header = {
		.magic = HEAP_TABLE_MAGIC,
		.version = HEAP_TABLE_VERSION,
		.header_bytes = sizeof(header),
		.table_bytes = TABLE_BYTES,
		.rate_bytes = 1,
	};
	int fd = memfd_create(HEAP_TABLE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, TABLE_BYTES), 0);
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	return fd;
}

static void test_live_process_is_identified(void **state)
{
	struct heap_client *c;

	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), make_table(), &c), 0);
	assert_false(c->dead);
	assert_true(c->pid_fd >= 0);
	assert_true(c->start_ticks > 0);
	assert_string_equal(c->comm, "test-heap-clien");
	heap_clients_remove(clients, c);
}

/* ---- totals */

static void set_counts(int table, uint64_t samples, uint64_t lost)
{
	struct heap_header header;

	assert_int_equal(pread(table, &header, sizeof(header), 0), sizeof(header));
	header.samples = samples;
	header.lost[HEAP_LOST_LIVE] = lost;
	assert_int_equal(pwrite(table, &header, sizeof(header), 0), sizeof(header));
}

static void check_totals(const struct heap_totals *before, uint64_t samples, uint64_t lost)
{
	struct heap_totals t;

	heap_clients_totals(clients, &t);
	assert_int_equal(t.samples - before->samples, samples);
	assert_int_equal(t.lost[HEAP_LOST_LIVE] - before->lost[HEAP_LOST_LIVE], lost);
}

/* What an ended client has counted stays, up to its last moment; nothing goes back. */
static void test_totals_outlive_clients(void **state)
{
	struct heap_totals before;
	struct heap_client *c;
	int table = make_table();

	heap_clients_totals(clients, &before);
	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), dup(table), &c), 0);
	set_counts(table, 10, 2);
	check_totals(&before, 10, 2);
	set_counts(table, 7, 3);
	check_totals(&before, 10, 3);
	set_counts(table, UINT64_MAX, 0);
	check_totals(&before, 1ULL << 40, 3);
	set_counts(table, 0, 4);
	heap_clients_remove(clients, c);
	check_totals(&before, 1ULL << 40, 4);
	close(table);
}

/* ---- over a restart */

static struct heap_identity identify_self(int table)
{
	struct heap_identity id;
	struct heap_client *c;

	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), dup(table), &c), 0);
	assert_int_equal(heap_client_identity(c, &id), 0);
	heap_clients_remove(clients, c);
	return id;
}

static void test_a_table_comes_back_to_its_process(void **state)
{
	int table = make_table();
	struct heap_identity id = identify_self(table);
	struct heap_client *c, *again;

	assert_int_equal(heap_clients_restore(clients, &id, dup(table), &c), 0);
	assert_false(c->dead);
	assert_true(c->pid_fd >= 0);
	assert_int_equal(c->start_ticks, id.start_ticks);
	assert_int_equal(heap_clients_restore(clients, &id, dup(table), &again), -EEXIST);
	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), dup(table), &again),
			 -EEXIST);
	heap_clients_remove(clients, c);
	close(table);
}

static void test_a_pid_that_is_anothers_now_gets_no_table(void **state)
{
	int table = make_table();
	struct heap_identity id = identify_self(table);
	struct heap_client *c, *live;

	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), make_table(), &live), 0);
	id.start_ticks--;
	strcpy(id.comm, "earlier");
	assert_int_equal(heap_clients_restore(clients, &id, dup(table), &c), 0);
	assert_true(c->dead && c->unseen);
	assert_true(c->pid_fd < 0);
	assert_string_equal(c->comm, "earlier");
	assert_int_equal(c->start_ticks, id.start_ticks);
	assert_false(live->removed); /* nor does it take the other's place */
	assert_ptr_equal(heap_clients_find(clients, getpid()), live);
	heap_clients_remove(clients, c);
	heap_clients_remove(clients, live);
	close(table);
}

static void test_what_comes_back_is_checked(void **state)
{
	int table = make_table(), unsealed = memfd_create("x", MFD_CLOEXEC);
	struct heap_identity id = identify_self(table);
	struct heap_client *c;

	assert_true(heap_clients_restore(clients, &id, unsealed, &c) < 0);
	assert_true(heap_clients_restore(clients, &id, open("/dev/null", O_RDWR), &c) < 0);
	id.inode++;
	assert_int_equal(heap_clients_restore(clients, &id, table, &c), -EBADMSG);
	assert_int_equal(heap_clients_count(clients), 0);
}

static void test_ended_process_is_dead_on_arrival(void **state)
{
	pid_t pid = fork();
	struct heap_client *c;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(heap_clients_add(clients, pid, getuid(), make_table(), &c), 0);
	assert_true(c->dead);
	heap_clients_remove(clients, c);
}

/* Its end falls into every moment of the look at it, some of them between two
 * of its questions. Each time it is taken, alive or dead. */
static void test_process_that_ends_meanwhile_is_taken(void **state)
{
	unsigned dead = 0;

	signal(SIGCHLD, SIG_IGN); /* gone at once, without a zombie */
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		struct heap_client *c;
		int fd = make_table();
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (volatile unsigned spin = 0; spin < i % 300 * 100; spin++)
				continue;
			_exit(0);
		}
		assert_int_equal(heap_clients_add(clients, pid, getuid(), fd, &c), 0);
		dead += c->dead;
		heap_clients_remove(clients, c);
	}
	signal(SIGCHLD, SIG_DFL);
	assert_in_range(dead, 1, ATTEMPTS);
}

static void test_same_table_is_known(void **state)
{
	struct heap_client *c;
	int fd = make_table(), again = dup(fd);

	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), fd, &c), 0);
	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), again, &c), -EEXIST);
	assert_int_equal(heap_clients_count(clients), 1);
	heap_clients_remove(clients, c);
}

static void test_new_table_takes_the_place_of_the_old(void **state)
{
	struct heap_client *old, *fresh;

	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), make_table(), &old), 0);
	heap_client_ref(old);
	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), make_table(), &fresh), 0);
	assert_int_equal(heap_clients_count(clients), 1);
	assert_ptr_equal(heap_clients_find(clients, getpid()), fresh);
	assert_true(old->removed);
	heap_client_unref(old);
	heap_clients_remove(clients, fresh);
}

/* An attached program's files stay, for its last heap, although nothing maps them
 * and no window speaks of them. */
static void test_modules_of_clients_are_kept(void **state)
{
	struct module_key key = {.inode = 1};
	struct module_table *modules;
	struct heap_client *c;
	uint32_t id;

	assert_int_equal(module_table_new(&modules), 0);
	assert_int_equal(heap_clients_add(clients, getpid(), getuid(), make_table(), &c), 0);
	id = module_get_file(modules, "/opt/service", &key)->id;
	c->modules = malloc(sizeof(id));
	c->modules[0] = id;
	c->n_modules = 1;
	heap_clients_keep_modules(clients, modules);
	module_sweep(modules, 3600 * NSEC_PER_SEC);
	assert_non_null(module_by_id(modules, id));
	heap_clients_remove(clients, c);
	heap_clients_keep_modules(clients, modules);
	module_sweep(modules, 7200 * NSEC_PER_SEC);
	assert_null(module_by_id(modules, id));
	module_table_free(modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_process_is_identified),
		cmocka_unit_test(test_totals_outlive_clients),
		cmocka_unit_test(test_a_table_comes_back_to_its_process),
		cmocka_unit_test(test_a_pid_that_is_anothers_now_gets_no_table),
		cmocka_unit_test(test_what_comes_back_is_checked),
		cmocka_unit_test(test_ended_process_is_dead_on_arrival),
		cmocka_unit_test(test_process_that_ends_meanwhile_is_taken),
		cmocka_unit_test(test_same_table_is_known),
		cmocka_unit_test(test_new_table_takes_the_place_of_the_old),
		cmocka_unit_test(test_modules_of_clients_are_kept),
	};
	int r;

	if (keeper_new_local(&keeper) < 0 || heap_clients_new(keeper, &clients) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	heap_clients_free(clients);
	keeper_free(keeper);
	return r;
}
