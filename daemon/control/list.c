#include "daemon/control/list.h"

#include "daemon/control/ended.h"
#include "daemon/control/others.h"
#include "daemon/control/report.h"
#include "profd/base.h"

static void send_one(const Profd__Reply *reply, void *userdata)
{
	peer_reply(userdata, reply, -1);
}

static void send_clients(struct peer *p)
{
	heap_clients_learn(p->ctx->clients);
	for (struct heap_client *c = heap_clients_first(p->ctx->clients); c; c = c->next) {
		struct report_target t;

		if (c->dead || (!p->access.all && c->uid != p->access.uid))
			continue;
		report_target(p->ctx, c, &t);
		peer_reply(p, &t.reply, -1);
	}
}

static void send_refused(struct peer *p)
{
	struct heap_refusals *refused = heap_clients_refused(p->ctx->clients);

	for (size_t i = 0; i < PROFD_MAX_REFUSED; i++) {
		const struct heap_refusal *r =
			heap_refusals_find(refused, p->ctx->keeper, refused->list[i].pid);
		struct report_target t;

		if (!r || (!p->access.all && r->uid != p->access.uid))
			continue;
		report_refused(p->ctx, r, &t);
		peer_reply(p, &t.reply, -1);
	}
}

void list_answer(struct peer *p, bool all)
{
	allocators_begin(p->ctx->allocators);
	p->ctx->scan(p->ctx->engine);
	send_clients(p);
	send_refused(p);
	if (all)
		others_each(p->ctx, &p->access, send_one, p);
	ended_each(p->ctx, p->access.all, p->access.uid, send_one, p);
	peer_done(p, 0, 0);
}
