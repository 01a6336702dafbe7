#include "daemon/control/access.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "profd/base.h"

#define GROUP	   "profd"
#define GROUPS_MAX 1024

static bool in_group(int socket, gid_t primary)
{
	gid_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(groups);
	const struct group *g = getgrnam(GROUP);

	if (!g)
		return false;
	if (g->gr_gid == primary)
		return true;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(groups[0]); i++)
		if (groups[i] == g->gr_gid)
			return true;
	return false;
}

int access_of_peer(int socket, bool own, struct access *ret_access)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return -errno;
	*ret_access = (struct access){
		.pid = cred.pid,
		.uid = cred.uid,
		.all = cred.uid == 0 || (own && cred.uid == geteuid()) ||
		       (!own && in_group(socket, cred.gid)),
	};
	return 0;
}
