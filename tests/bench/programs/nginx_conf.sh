#!/bin/bash
# nginx_conf.sh DIR PORT: an nginx with a small file, a large one, and one that it
# compresses for each request.
set -euo pipefail

mkdir -p "$1/www" "$1/temp"
python3 - "$1/www" <<'END'
import random, sys
random.seed(4)
for name, lines in (('small', 20), ('zipped', 400), ('large', 20000)):
	with open(sys.argv[1] + '/' + name, 'w') as f:
		f.writelines('line %d: %d\n' % (i, random.randrange(10 ** 12)) for i in range(lines))
END
cat >"$1/nginx.conf" <<END
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
$([ "$(id -u)" != 0 ] || echo 'user nobody nogroup;')
events { }
http {
	access_log off;
	default_type text/plain;
	client_body_temp_path temp;
	proxy_temp_path temp;
	fastcgi_temp_path temp;
	uwsgi_temp_path temp;
	scgi_temp_path temp;
	keepalive_requests 100000;
	gzip_min_length 1000;
	server {
		listen 127.0.0.1:$2;
		root www;
		location = /zipped { gzip on; gzip_types text/plain; }
	}
}
END
