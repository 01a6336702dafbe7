/*
 * C++'s operators new and delete, as far as the allocator brings its own.
 */
#pragma once

/* Looks the next operators up, after the next malloc has been found. */
void operators_init(void);
