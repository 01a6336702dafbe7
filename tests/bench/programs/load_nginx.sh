#!/bin/bash
# load_nginx.sh PORT: see --load of turns.py.
set -euo pipefail
url=http://127.0.0.1:$1

until curl -s -o /dev/null "$url/small"; do sleep 0.05; done
requests=0
for path in small zipped; do
	wrk -t 1 -c 16 -d 1s "$url/$path" >load.log
	! grep -E 'Socket errors|Non-2xx' load.log >&2
	requests=$((requests + $(awk '/requests in/ {print $1}' load.log)))
done
echo "$requests 2"

for path in small zipped large missing; do
	curl -s -H 'Accept-Encoding: gzip' -w '%{http_code} %{size_download} %{content_type}\n' \
		"$url/$path"
done
