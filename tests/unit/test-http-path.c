/* client/http/path: targets of requests, of every kind of writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/http/path.c"

static struct path parse(const char *target)
{
	struct path p;

	assert_int_equal(path_parse(target, &p), 0);
	return p;
}

static void expect(const char *target, enum path_kind kind)
{
	struct path p = parse(target);

	if (p.kind != kind)
		fail_msg("%s: kind %d, not %d", target, (int)p.kind, (int)kind);
	path_done(&p);
}

static void expect_profile(const char *target, enum scope_kind scope, const char *who,
			   const char *name)
{
	struct path p = parse(target);

	assert_int_equal(p.kind, PATH_PROFILE);
	assert_int_equal(p.scope.kind, scope);
	assert_string_equal(p.scope.name, who);
	assert_string_equal(p.name, name);
	path_done(&p);
}

static void expect_redirect(const char *target, const char *location)
{
	struct path p = parse(target);

	assert_int_equal(p.kind, PATH_REDIRECT);
	assert_string_equal(p.location, location);
	path_done(&p);
}

static void test_scopes(void **state)
{
	struct path p;

	expect_profile("/debug/pprof/heap", SCOPE_MACHINE, "", "heap");
	expect_profile("/comm/nginx/debug/pprof/profile?seconds=5", SCOPE_COMM, "nginx", "profile");
	expect_profile("/unit/a%5Cx2db.service/debug/pprof/heap", SCOPE_UNIT, "a\\x2db.service",
		       "heap");
	/* an encoded slash is part of a name */
	expect_profile("/comm/kworker%2F0:1/debug/pprof/profile", SCOPE_COMM, "kworker/0:1",
		       "profile");
	p = parse("/pid/4321/debug/pprof/heap?gc=1");
	assert_int_equal(p.scope.kind, SCOPE_PID);
	assert_int_equal(p.scope.pid, 4321);
	assert_string_equal(p.query, "gc=1");
	path_done(&p);
}

static void test_pages(void **state)
{
	expect("/", PATH_HOME);
	expect("/?x=1", PATH_HOME);
	expect("/metrics", PATH_METRICS);
	expect("/targets", PATH_TARGETS);
	expect("/debug/pprof/", PATH_INDEX);
	expect("/pid/1/debug/pprof/", PATH_INDEX);
	expect("/metrics/", PATH_NOTHING);
	expect("/nosuch", PATH_NOTHING);
	expect("/debug", PATH_NOTHING);
	expect("/pid/1", PATH_NOTHING);
	expect_profile("/debug/pprof/heap/", SCOPE_MACHINE, "", "?");
	expect_profile("/debug/pprof/heap/x", SCOPE_MACHINE, "", "?");
}

static void test_numbers_that_are_no_process(void **state)
{
	expect("/pid/0/debug/pprof/heap", PATH_NOTHING);
	expect("/pid/-1/debug/pprof/heap", PATH_NOTHING);
	expect("/pid/1x/debug/pprof/heap", PATH_NOTHING);
	expect("/pid/4294967297/debug/pprof/heap", PATH_NOTHING);
	expect("/pid/99999999999999999999999/debug/pprof/heap", PATH_NOTHING);
	expect("/pid/self/debug/pprof/heap", PATH_NOTHING);
}

static void test_what_is_not_clean(void **state)
{
	expect_redirect("/debug/pprof", "/debug/pprof/");
	expect_redirect("/comm/a b/debug/pprof?x=1", "/comm/a%20b/debug/pprof/?x=1");
	expect_redirect("/debug/pprof//heap", "/debug/pprof/heap");
	expect_redirect("/debug/pprof/heap/../../x", "/debug/x");
	expect_redirect("/../../../etc/passwd", "/etc/passwd");
	expect_redirect("/debug/%2e%2e/pprof/./heap?a=b/c", "/pprof/heap?a=b/c");
	expect_redirect("/..", "/");
	expect_redirect("//", "/");
}

/* Never to another server, and nothing that could end a header. */
static void test_redirects_stay_here(void **state)
{
	expect_redirect("//evil.example/x", "/evil.example/x");
	expect_redirect("//\\evil.example/", "/%5Cevil.example/");
	expect_redirect("//x?a=\r\nSet-Cookie: y", "/x?a=%0D%0ASet-Cookie:%20y");
	expect_redirect("//a\"b", "/a%22b");
}

static void test_malformed(void **state)
{
	char long_name[PATH_MAX_NAME + 32], many[4 * PATH_MAX_SEGMENTS];

	expect("", PATH_BAD);
	expect("debug", PATH_BAD);
	expect("http://x/debug", PATH_BAD);
	expect("*", PATH_BAD);
	expect("/%", PATH_BAD);
	expect("/%4", PATH_BAD);
	expect("/%zz", PATH_BAD);
	expect("/a%00b", PATH_BAD);
	memset(long_name, 'a', sizeof(long_name));
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	expect(long_name, PATH_BAD);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 ? 'a' : '/';
	many[sizeof(many) - 1] = '\0';
	expect(many, PATH_BAD);
}

static void test_queries(void **state)
{
	char value[16];

	assert_true(query_get("a=1&seconds=30&seconds=5", "seconds", value, sizeof(value)));
	assert_string_equal(value, "30");
	assert_true(query_get("a=x%2By+z", "a", value, sizeof(value)));
	assert_string_equal(value, "x+y z");
	assert_true(query_get("a&b", "a", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_false(query_get("xa=1", "a", value, sizeof(value)));
	assert_false(query_get("a=0123456789abcdef", "a", value, sizeof(value)));
	assert_true(query_has("a=0123456789abcdef", "a"));
	assert_false(query_get("a=1;b=2", "a", value, sizeof(value)));
	assert_false(query_get("a=%", "a", value, sizeof(value)));
	assert_int_equal(query_number_of("debug=1", "debug"), 1);
	assert_int_equal(query_number_of("debug=x", "debug"), 0);
	assert_int_equal(query_number_of("", "debug"), 0);
}

static void test_numbers(void **state)
{
	int64_t n;

	assert_true(query_fraction("0.25") == 0.25);
	assert_true(query_fraction("1e-1") == 0.1);
	assert_true(query_fraction("-2") == -2);
	assert_true(query_fraction("") == 0 && query_fraction("x") == 0);
	assert_true(query_fraction(" 2") == 0 && query_fraction("2s") == 0);
	assert_true(query_fraction("1e999") == 0 && query_fraction("0x2") == 0);
	assert_true(query_fraction("nan") == 0 && query_fraction("inf") == 0);
	assert_int_equal(query_number("30", &n), 0);
	assert_int_equal(n, 30);
	assert_int_equal(query_number("-7", &n), 0);
	assert_int_equal(n, -7);
	assert_int_equal(query_number("+7", &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(query_number("9223372036854775807", &n), 0);
	assert_true(n == INT64_MAX);
	assert_int_equal(query_number("-9223372036854775808", &n), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(query_number("9223372036854775808", &n), -ERANGE);
	assert_true(n == INT64_MAX);
	assert_int_equal(query_number("-99999999999999999999", &n), -ERANGE);
	assert_true(n == INT64_MIN);
	assert_int_equal(query_number("", &n), -EINVAL);
	assert_int_equal(query_number("-", &n), -EINVAL);
	assert_int_equal(query_number("1.5", &n), -EINVAL);
	assert_int_equal(query_number(" 1", &n), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_numbers_that_are_no_process),
		cmocka_unit_test(test_what_is_not_clean),
		cmocka_unit_test(test_redirects_stay_here),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
