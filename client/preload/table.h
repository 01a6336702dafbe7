/*
 * The shared table and the private memory beside it: making them, taking
 * records, and giving a fork's child its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profd/heap_table.h"

#define TABLE_FULL UINT32_MAX

/* Makes both and lets the session's pointers lead into them. The header's state
 * is STARTING. On success *ret_fd is the table's descriptor, the caller's to
 * close, and its name says that it is for the profd at @socket_path. Tries a
 * sixteenth of the size when the limits refuse the whole.
 * Returns 0 or -errno; nothing is kept on failure. */
int table_new(const char *socket_path, int *ret_fd);

/* In a fork's child: replaces the inherited mapping, at the same address, by a
 * table of its own with the same contents. Returns as table_new(). */
int table_clone(int *ret_fd);

/* In a fork's child: lets go of the inherited table without another. */
void table_abandon(void);

/* The index of the first of @n records in a row, which are the caller's. */
uint32_t table_take(enum heap_region_id region, uint32_t n);
uint32_t table_take_label_set(void);
uint32_t table_take_label_text(uint32_t bytes);
bool table_is_full(enum heap_region_id region);
bool table_has_room(enum heap_region_id region); /* half of it is free */
