#include "daemon/notify.h"

#include <stdint.h>
#include <systemd/sd-daemon.h>

#include "profd/base.h"

void notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

/* The time is for managers that start a reload themselves: they tell by it an
 * answer from the echo of an earlier one. */
void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading settings",
		   (unsigned long long)(clock_mono_ns() / 1000));
}

void notify_status(const char *status)
{
	sd_notifyf(0, "STATUS=%s", status);
}

void notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
