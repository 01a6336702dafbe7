/*
 * Stepping aside: what a program does that another thread would disturb.
 *
 * Interposed: prctl, capset, unshare, setns. A program that makes these calls
 * by syscall() is not noticed.
 */
#pragma once

/* Looks the next functions up. Before it the kernel is called, which is all that
 * they do in the C library. */
void aside_init(void);
