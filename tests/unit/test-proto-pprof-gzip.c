/* proto/pprof: files, gzip'd and plain, whole and damaged. */
#include "tests/unit/pprof-example.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "proto/gzip.h"

static int new_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct bytes gzip(const void *data, size_t n)
{
	struct gzip_writer *w;
	int fd = new_file();
	struct bytes b;

	assert_int_equal(gzip_writer_new(fd, &w), 0);
	gzip_writer_add(w, data, n);
	assert_int_equal(gzip_writer_finish(w), 0);
	gzip_writer_free(w);
	b.n = (size_t)lseek(fd, 0, SEEK_END);
	b.data = malloc(b.n + 1);
	assert_int_equal(pread(fd, b.data, b.n, 0), b.n);
	close(fd);
	return b;
}

static void test_gzip_file_survives_a_round(void **state)
{
	struct pprof *p = make_profile(), *copy;
	uint8_t magic[2];
	int fd = new_file();

	assert_int_equal(pprof_write_gzip(p, fd), 0);
	assert_int_equal(pread(fd, magic, 2, 0), 2);
	assert_int_equal(magic[0], 0x1f);
	assert_int_equal(magic[1], 0x8b);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, LIMIT, &copy), 0);
	check_profile(copy);
	close(fd);
	pprof_free(copy);
	pprof_free(p);
}

static void test_several_members_are_one_file(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p);
	struct bytes a = gzip(plain.data, 10), b = gzip("", 0),
		     c = gzip(plain.data + 10, plain.n - 10);
	struct bytes all = {malloc(a.n + b.n + c.n), a.n + b.n + c.n};

	memcpy(all.data, a.data, a.n);
	memcpy(all.data + a.n, b.data, b.n);
	memcpy(all.data + a.n + b.n, c.data, c.n);
	copy = decode(all);
	check_profile(copy);
	pprof_free(copy);
	assert_int_equal(pprof_decode(all.data, a.n + b.n, LIMIT, &copy), -EBADMSG);
	free(a.data);
	free(b.data);
	free(c.data);
	free(all.data);
	free(plain.data);
	pprof_free(p);
}

static void test_damaged_gzip_is_refused(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p), b = gzip(plain.data, plain.n);

	for (size_t n = 2; n < b.n; n++)
		assert_int_equal(pprof_decode(b.data, n, LIMIT, &copy), -EBADMSG);
	b.data[b.n] = 'x'; /* gzip() leaves room for it */
	assert_int_equal(pprof_decode(b.data, b.n + 1, LIMIT, &copy), -EBADMSG);
	b.data[b.n - 5] ^= 1; /* the checksum */
	assert_int_equal(pprof_decode(b.data, b.n, LIMIT, &copy), -EBADMSG);
	free(plain.data);
	free(b.data);
	pprof_free(p);
}

static void test_a_bomb_is_refused(void **state)
{
	const size_t n = 32u << 20;
	uint8_t *zeros = calloc(1, n), *out;
	struct bytes bomb = gzip(zeros, n);
	size_t n_out;
	struct pprof *p;

	assert_true(bomb.n < n / 500);
	assert_int_equal(pprof_decode(bomb.data, bomb.n, n - 1, &p), -EFBIG);
	assert_int_equal(gzip_inflate(bomb.data, bomb.n, n - 1, &out, &n_out), -EFBIG);
	assert_int_equal(gzip_inflate(bomb.data, bomb.n, n, &out, &n_out), 0);
	assert_int_equal(n_out, n);
	free(out);
	free(bomb.data);
	free(zeros);
}

static void test_limit_holds_for_plain_bytes_and_files(void **state)
{
	struct pprof *p = make_profile(), *copy;
	struct bytes plain = encode(p);
	int fd = new_file();

	assert_int_equal(pprof_decode(plain.data, plain.n, plain.n - 1, &copy), -EFBIG);
	assert_int_equal(write(fd, plain.data, plain.n), plain.n);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, plain.n - 1, &copy), -EFBIG);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(pprof_read(fd, plain.n, &copy), 0);
	pprof_free(copy);
	close(fd);
	free(plain.data);
	pprof_free(p);
}

static void test_write_error_is_told(void **state)
{
	struct pprof *p = make_profile();
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(pprof_write_gzip(p, fd), -ENOSPC);
	assert_int_equal(pprof_write_gzip(p, -1), -EBADF);
	close(fd);
	pprof_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gzip_file_survives_a_round),
		cmocka_unit_test(test_several_members_are_one_file),
		cmocka_unit_test(test_damaged_gzip_is_refused),
		cmocka_unit_test(test_a_bomb_is_refused),
		cmocka_unit_test(test_limit_holds_for_plain_bytes_and_files),
		cmocka_unit_test(test_write_error_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
