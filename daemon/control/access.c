#include "daemon/control/access.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "profd/base.h"

#define GROUP	     "profd"
#define GROUPS_MAX   1024
#define GROUP_FOR_NS (10 * NSEC_PER_SEC)

static void find_group(struct access_group *group)
{
	uint64_t now = clock_mono_ns();
	const struct group *g;

	if (group->read_mono_ns && now - group->read_mono_ns < GROUP_FOR_NS)
		return;
	g = getgrnam(GROUP);
	*group = (struct access_group){.read_mono_ns = now, .known = g, .gid = g ? g->gr_gid : 0};
}

static bool in_group(int socket, gid_t primary, struct access_group *group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(groups);

	find_group(group);
	if (!group->known)
		return false;
	if (group->gid == primary)
		return true;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(groups[0]); i++)
		if (groups[i] == group->gid)
			return true;
	return false;
}

int access_of_peer(int socket, bool own, struct access_group *group, struct access *ret_access)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return -errno;
	*ret_access = (struct access){
		.pid = cred.pid,
		.uid = cred.uid,
		.all = cred.uid == 0 || (own && cred.uid == geteuid()) ||
		       (!own && in_group(socket, cred.gid, group)),
	};
	return 0;
}

bool access_narrow(struct access *access, uid_t uid)
{
	if (!access->all && access->uid != uid)
		return false;
	access->uid = uid;
	access->all = false;
	return true;
}
