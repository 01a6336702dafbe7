# bash completion for profctl(1).

# Processes, commands or units that have the client: @1 is the key in `list --json`.
_profctl_targets()
{
	profctl --json list 2>/dev/null |
		sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]\{1,\}\)\"\{0,1\},\{0,1\}\$/\1/p" | sort -u
}

_profctl_services()
{
	systemctl --no-legend --plain --type=service "$@" 2>/dev/null | sed 's/ .*//'
}

_profctl_words()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_profctl_files()
{
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# The value of option @1 of @verb. Fails where it is no option that takes one.
_profctl_value()
{
	case $verb:$1 in
	*:--socket | run:--cpu | run:--heap | run:--offcpu | run:--block | run:--mutex | top:--base | symbolize:--output | symbolize:-o)
		_profctl_files -f ;;
	run:--output | snapshot:--output | symbolize:--debug-dir) _profctl_files -d ;;
	snapshot:--pid) _profctl_words "$(_profctl_targets pid)" ;;
	snapshot:--comm) _profctl_words "$(_profctl_targets comm)" ;;
	snapshot:--unit) _profctl_words "$(_profctl_targets unit)" ;;
	snapshot:--type) _profctl_words "heap cpu offcpu block mutex threadcreate threads trace heap,cpu block,mutex" ;;
	top:--type) _profctl_words "inuse_space inuse_objects alloc_space alloc_objects cpu samples offcpu delay contentions" ;;
	run:--event | run:-e) _profctl_words "cycles cpu-clock page-faults context-switches timers" ;;
	run:--every | snapshot:--every | snapshot:--seconds) _profctl_words "1s 10s 30s 1m 5m 1h" ;;
	run:--http) _profctl_words "127.0.0.1:6060" ;;
	snapshot:--url | symbolize:--debuginfod) _profctl_words "http:// https://" ;;
	run:--frequency | run:-F | run:--rate | snapshot:--count | top:-n) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

# What is not an option.
_profctl_argument()
{
	case $verb in
	run) _profctl_files -c ;;
	top | symbolize) _profctl_files -f ;;
	enable) _profctl_words "$(_profctl_services list-unit-files)" ;;
	disable) _profctl_words "$(profctl enabled --json 2>/dev/null | sed -n 's/^ *"unit": "\(.*\)",$/\1/p')" ;;
	esac
}

_profctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} verb= i
	local common="--json --socket --help"
	declare -A options=(
		[run]="--output --cpu --heap --offcpu --block --mutex --children --no-children --http --every --frequency --event --rate -F -e --"
		[snapshot]="--pid --comm --unit --all --url --type --every --count --seconds --output --no-trim --verbose -v"
		[list]="--all"
		[status]=""
		[top]="--base --type --cum -n"
		[symbolize]="--debug-dir --debuginfod --output -o"
		[enable]="--restart --force"
		[disable]="--all --restart"
		[enabled]=""
	)

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket) i=$((i + 1)) ;;
		-*) ;;
		*) verb=${COMP_WORDS[i]}; break ;;
		esac
	done
	if [ "$verb" = run ]; then
		for ((i++; i < COMP_CWORD; i++)); do
			if [ "${COMP_WORDS[i]}" = -- ] && declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
				return
			fi
		done
	fi
	_profctl_value "${COMP_WORDS[COMP_CWORD - 1]}" && return
	if [ -z "$verb" ]; then
		case $cur in
		-*) _profctl_words "$common --version" ;;
		*) _profctl_words "${!options[*]}" ;;
		esac
	elif [[ $cur == -* ]]; then
		_profctl_words "${options[$verb]-} $common"
	else
		_profctl_argument
	fi
}

complete -F _profctl profctl
