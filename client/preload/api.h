/*
 * The functions that include/profd.h looks for by name; see there. Their names and
 * arguments stay as they are, for programs are built with the header of another day.
 */
#pragma once

int profd_client_heap(int fd, unsigned flags);
int profd_client_snapshot(const char *type, unsigned flags);
int profd_client_cpu_start(void);
int profd_client_cpu_stop(int fd);
int profd_client_label_push(const char *key, const char *value, unsigned *ret_former);
unsigned profd_client_labels_get(void);
int profd_client_labels_set(unsigned set);
