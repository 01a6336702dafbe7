#!/bin/bash
# Proves that a limit on the size of files kills no target: not one that has it from
# its parent, nor one that sets it and forks.
. "$(dirname "$0")/../fixtures/hazard-lib.sh"

start_profd
export PROFD_RATE=100
as_bare "$fixtures/hazard-file-size"
# In blocks of 1024 bytes: the first leaves no room for a table, the last for a small one.
for blocks in 0 64 4096 16384; do
	as_bare bash -c "ulimit -f $blocks; exec $fixtures/hazard-file-size"
done
figure "killed by SIGXFSZ: 0 of 5"
