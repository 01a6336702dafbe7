#!/bin/bash
# Proves that the manuals are sound and whole: every verb and option that a program's
# --help shows stands in its page and in both completions, nothing stands there that the
# program does not know, and the completions offer what a user would type next.
. "$(dirname "$0")/../lib.sh"
pages=("$root"/daemon/*.[1-8] "$root"/client/*/*.[1-8])
bash_completion=$root/client/profctl/completion.bash
zsh_completion=$root/client/profctl/_profctl

echo "- pages"
for page in "${pages[@]}"; do
	# The style of where other pages lie is not theirs.
	mandoc -T lint -W style "$page" 2>/dev/null | grep -vE "referenced manual not found|longer than 80" && fail "mandoc: $page"
	LC_ALL=C.UTF-8 man --warnings -l -Z -Tutf8 "$page" 2>&1 >/dev/null | grep . && fail "man: $page"
	# Each of ours that a page refers to is there.
	while read -r name section; do
		case $name in
		prof* | libprof*) find "$root"/{daemon,client} -name "$name.$section" | grep . >/dev/null ||
			fail "$page: there is no $name($section)" ;;
		esac
	done < <(sed -n 's/^\.Xr \([^ ]*\) \([0-9]\).*/\1 \2/p' "$page")
done

# options TEXT..: the long and short options in it, without what they take.
options() { grep -oE -- '(^|[ ,])--?[a-zA-Z][a-z-]*' | tr -d ' ,' | sort -u; }
# Of the lines of --help that begin with an option, up to the first wide gap.
help_options() { "$@" --help | grep -E '^  +-' | sed 's/^ *//; s/   .*//; s/  [a-z].*//' | options; }
# What a page shows in its part @2; all of it by default.
page_options()
{
	MANWIDTH=200 LC_ALL=C.UTF-8 man -l "$1" | col -bx | tr '‐−' '--' |
		if [ -n "${2:-}" ]; then sed -n "/^   $2\$/,/^\(   \)\{0,1\}[^ ]/{/^   $2\$/d;/^\(   \)\{0,1\}[^ ]/d;p}"; else cat; fi |
		grep -E '^ +-' | sed 's/^ *//; s/   .*//; s/  [A-Z].*//' | options
}

common='--help
--json
--socket'
verbs=$("$profctl" --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(wc -w <<<"$verbs")" -ge 9 ] || fail "verbs: $verbs"

echo "- profctl's verbs and options"
same() { [ "$2" = "$3" ] || { diff <(echo "$2") <(echo "$3") || true; fail "$1"; }; }
same "verbs of the page" "$(sort <<<"$verbs")" "$(sed -n 's/^\.Ss //p' "$root/client/profctl/profctl.1" | sort)"
# The words that bash offers for a command line.
offered()
{
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_profctl
	printf '%s\n' "${COMPREPLY[@]}" | sort -u
}
compopt() { :; }
. "$bash_completion"
same "verbs of bash" "$(sort <<<"$verbs")" "$(offered profctl '')"
same "verbs of zsh" "$(sort <<<"$verbs")" "$(sed -n "/commands=(/,/)/s/^\t*'\([a-z]*\):.*/\1/p" "$zsh_completion" | sort)"
count=0
for verb in $verbs; do
	known=$(help_options "$profctl" "$verb" | grep -vxF -e "$common" || true)
	# Of an option with two names --help may show one.
	page=$(page_options "$root/client/profctl/profctl.1" "$verb" | grep -vxF -e "$common" || true)
	bash=$(offered profctl "$verb" - | grep -vxF -e "$common" -e -- || true)
	zsh=$(awk -v verb="$verb" '/^\t[a-z |]+\)/ { split($0, part, ")"); on = (" " part[1] " ") ~ "[ \t]" verb " " }
		on; /;;/ { on = 0 }' "$zsh_completion" |
		sed "s/'([^)]*)/'/" | grep -oE -- "['{,][*]?-(-[a-z-]+|[a-zA-Z]\b)" | tr -d "'{,*" | sort -u | grep -vxF -e "$common" || true)
	for option in $known; do
		for where in page bash zsh; do
			grep -qx -- "$option" <<<"${!where}" || fail "$verb $option: not in its $where"
		done
	done
	same "$verb: page and bash" "$page" "$bash"
	same "$verb: page and zsh" "$page" "$zsh"
	for option in $bash; do
		code=0
		"$profctl" "$verb" "$option" --help >/dev/null 2>"$T/stderr" </dev/null || code=$?
		! grep -q 'unknown option' "$T/stderr" || fail "$verb $option: bash offers what there is not"
		count=$((count + 1))
	done
done
same "profd's page" "$(help_options "$profd" | grep -v private)" "$(page_options "$root/daemon/profd.8")"
same "profd-http's page" "$(help_options "$BUILD/profd-http")" "$(page_options "$root/client/http/profd-http.8")"
figure "$(wc -w <<<"$verbs") verbs, $count options, ${#pages[@]} pages"

echo "- the variables that the library reads"
for variable in $(grep -ohE 'PROFD_[A-Z]+' "$root"/client/preload/environment.c | sort -u); do
	grep -qE "^\.It Ev ([A-Z_]+ , )*$variable( ,|\$)" "$root/client/preload/libprofd.3" || fail "$variable is not in libprofd(3)"
done

echo "- completion by hand"
profctl() { case "$*" in *list*) printf '      "pid": 4711,\n      "comm": "server",\n      "unit": "server.service",\n' ;; *enabled*) printf '      "unit": "one.service",\n' ;; esac; }
systemctl() { printf 'nginx.service enabled\nredis.service disabled\n'; }
same "pids" 4711 "$(offered profctl snapshot --pid '')"
same "units" server.service "$(offered profctl snapshot --unit s)"
same "names" server "$(offered profctl snapshot --every 1s --comm '')"
same "services" nginx.service "$(offered profctl enable --restart n)"
same "enabled services" one.service "$(offered profctl disable '')"
touch "$T/a.pb.gz"
same "files" "$T/a.pb.gz" "$(offered profctl top --base "$T/a")"
same "options" --restart "$(offered profctl --socket x enable --re)"

# A zsh on a terminal of its own, in which these are typed, with a tab behind.
cat >"$T/type.zsh" <<-'END'
	zmodload zsh/zpty
	zpty -b z zsh -f -i
	zpty -w z "PS1=; fpath=($1 \$fpath); path=($2 \$path); cd $3; autoload -Uz compinit; compinit -u -D; echo be''gin"
	zpty -r -m z seen '*begin*'
	while read -r typed becomes; do
		zpty -n -w z "${typed//_/ }"$'\t'
		zpty -r -m z seen "*${becomes//_/ }*" || exit 1
		print -r -- "$becomes"
		zpty -n -w z $'\x15'
	done
END
cat >"$T/typed" <<-'END'
	profctl_sna profctl_snapshot
	profctl_snapshot_--no --no-trim
	profctl_--socket_x_list_--al list_--all
	profctl_top_--base_a.p --base_a.pb.gz
	profctl_enable_--rest enable_--restart
	profctl_status_--js status_--json
	profctl_disable_--al disable_--all
END
timeout 60 zsh -f "$T/type.zsh" "${zsh_completion%/*}" "$BUILD" "$T" <"$T/typed" >"$T/became" || true
same "zsh" "$(sed 's/.* //' "$T/typed")" "$(cat "$T/became")"
exit 0
