/*
 * For a UNIX socket the kernel keeps the credentials of the peer. For TCP over
 * loopback both ends are sockets of this machine, and sock_diag tells the owner
 * of the other one, asked for by its two addresses. A socket whose process has
 * closed it, or that only waits for its time to pass, is told as root's: it has
 * no inode, and does not count.
 *
 * The question is asked of our own network namespace. A connection over loopback
 * cannot come from another.
 */
#include "client/http/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "profd/base.h"

#define GROUP	    "profd"
#define GROUPS_MAX  1024
#define LOOKUP_SIZE 16384

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage room;
};

static bool find_group(gid_t *ret)
{
	char buffer[LOOKUP_SIZE];
	struct group g, *found = NULL;

	if (getgrnam_r(GROUP, &g, buffer, sizeof(buffer), &found) != 0 || !found)
		return false;
	*ret = g.gr_gid;
	return true;
}

static bool user_in_group(uid_t uid)
{
	_cleanup_free_ gid_t *groups = calloc(GROUPS_MAX, sizeof(*groups));
	char buffer[LOOKUP_SIZE];
	struct passwd p, *found = NULL;
	int n = GROUPS_MAX;
	gid_t wanted;

	if (!groups || !find_group(&wanted) ||
	    getpwuid_r(uid, &p, buffer, sizeof(buffer), &found) != 0 || !found ||
	    getgrouplist(p.pw_name, p.pw_gid, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

/* The groups that the process has, which are not always those of the user. */
static bool peer_in_group(int fd, gid_t primary)
{
	gid_t groups[GROUPS_MAX], wanted;
	socklen_t bytes = sizeof(groups);

	if (!find_group(&wanted))
		return false;
	if (primary == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static void of_unix(int fd, struct identity *ret)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return;
	*ret = (struct identity){
		.local = true, .uid = cred.uid, .group = peer_in_group(fd, cred.gid)};
}

static bool is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static void put_address(const union address *a, __be16 *ret_port, __be32 ret[4])
{
	if (a->any.sa_family == AF_INET) {
		*ret_port = a->in.sin_port;
		ret[0] = a->in.sin_addr.s_addr;
	} else {
		*ret_port = a->in6.sin6_port;
		memcpy(ret, &a->in6.sin6_addr, sizeof(a->in6.sin6_addr));
	}
}

/* The owner of the socket at @from that is connected to @to. */
static int ask_owner(const union address *from, const union address *to, uid_t *ret_uid)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST},
		.body = {.sdiag_family = (__u8)from->any.sa_family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ~0U,
			 .id = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};
	struct {
		struct nlmsghdr head;
		struct inet_diag_msg body;
		char more[1024]; /* attributes */
	} answer;
	ssize_t n;

	if (fd < 0)
		return -errno;
	put_address(from, &request.body.id.idiag_sport, request.body.id.idiag_src);
	put_address(to, &request.body.id.idiag_dport, request.body.id.idiag_dst);
	if (sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&kernel, sizeof(kernel)) <
	    0)
		return -errno;
	n = recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.body) ||
	    answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -ENOENT;
	if (answer.body.idiag_inode == 0)
		return -ENOTCONN;
	*ret_uid = answer.body.idiag_uid;
	return 0;
}

void identity_of(int fd, struct identity *ret)
{
	union address here = {}, there = {};
	socklen_t n_here = sizeof(here), n_there = sizeof(there);
	uid_t uid = (uid_t)-1;

	*ret = (struct identity){};
	if (getsockname(fd, &here.any, &n_here) < 0)
		return;
	if (here.any.sa_family == AF_UNIX) {
		of_unix(fd, ret);
		return;
	}
	if (getpeername(fd, &there.any, &n_there) < 0 || !is_loopback(&here) ||
	    !is_loopback(&there) || ask_owner(&there, &here, &uid) < 0)
		return;
	*ret = (struct identity){.local = true, .uid = uid, .group = user_in_group(uid)};
}
