#!/bin/bash
# load_redis.sh SOCKET: see --load of turns.py.
set -euo pipefail
requests=100000 tests=set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100

until redis-cli -s "$1" ping >/dev/null 2>&1; do sleep 0.05; done
begin=$(date +%s%N)
# lrange_100 pushes its list first: one load more
redis-benchmark -s "$1" -q -n "$requests" -c 16 -P 4 -d 64 -t "$tests" >/dev/null
echo "$((requests * 10)) $(($(date +%s%N) - begin))e-9"

# The same questions, and the same answers.
{
	echo flushall
	for i in $(seq 500); do
		echo "set key:$i value-$((i * 7919 % 1009))"
		echo "rpush list $((i * 31 % 101))"
		echo "zadd sorted $((i * 17 % 97)) member:$i"
		echo "hset hash field:$i $((i * i))"
	done
	echo "sort list"
	echo "zrange sorted 0 -1 withscores"
	echo "hmget hash field:1 field:250 field:500"
	for i in $(seq 500); do echo "get key:$i"; done
	echo dbsize
} | redis-cli -s "$1"
