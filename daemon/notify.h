/*
 * What the service manager is told (sd_notify(3)). Where there is none, nothing
 * happens.
 */
#pragma once

#include <stddef.h>

#define NOTIFY_STATUS_BYTES 600

/* @status: one line for `systemctl status`. */
void notify_ready(const char *status);
void notify_reloading(void); /* until notify_ready() */
void notify_status(const char *status);
void notify_alive(void); /* feeds the watchdog */
void notify_stopping(void);
