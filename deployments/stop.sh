#!/usr/bin/env bash
# Stops the gateway that start.sh started. Running requests may finish, and are settled before the process exits.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: stop.sh local   [--run-dir DIR] [--port P] [--grace SECONDS] [--dry-run]
       stop.sh compose [--env-file FILE] [--dry-run]
       stop.sh prod    [--env-file FILE] [--dry-run]

local            sends SIGTERM, waits --grace seconds (default 90, more than SHUTDOWN_GRACE_SECONDS), then kills
--port           only this instance
compose, prod    stop the containers; volumes and their data stay

Exit codes: 0 nothing is running any more, 1 an instance had to be killed, 2 invalid usage.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
run_dir=$root/data/run port='' grace=90 env_file=$root/.env dry_run=false

die() {
    printf 'stop.sh: %s\n' "$2" >&2
    exit "$1"
}

case ${1:-} in
    local | compose | prod) mode=$1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
shift
while (($# > 0)); do
    case $1 in
        --run-dir) run_dir=${2:?}; shift ;;
        --port) port=${2:?}; shift ;;
        --grace) grace=${2:?}; shift ;;
        --env-file) env_file=${2:?}; shift ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
    esac
    shift
done
[[ $grace =~ ^[0-9]+$ ]] || die 2 '--grace must be a number of seconds'

# Only a process of ours: an old pid file may by now name somebody else's.
is_gateway() { # pid
    [[ -r /proc/$1/cmdline ]] && tr '\0' ' ' <"/proc/$1/cmdline" | grep -q 'dist/src/main.js'
}

stop_one() { # pid file
    local pid until killed=0
    pid=$(cat "$1")
    if is_gateway "$pid"; then
        if $dry_run; then
            echo "would stop process $pid ($1)"
            return 0
        fi
        kill -TERM "$pid"
        until=$((SECONDS + grace))
        while is_gateway "$pid" && ((SECONDS < until)); do sleep 0.1; done
        if is_gateway "$pid"; then
            echo "process $pid did not exit within $grace s: killing it; its journal is replayed at the next start" >&2
            kill -KILL "$pid" 2>/dev/null || true
            killed=1
        else
            echo "process $pid exited"
        fi
    fi
    $dry_run || rm -f "$1"
    return "$killed"
}

stop_local() {
    local file status=0
    local which='*'
    [[ -z $port ]] || which=$port
    # shellcheck disable=SC2231 # the star must be one
    for file in "$run_dir"/gateway-$which.pid; do
        [[ -f $file ]] || continue
        stop_one "$file" || status=1
    done
    exit "$status"
}

stop_containers() { # compose file
    local command=(docker compose)
    [[ ! -f $env_file ]] || command+=(--env-file "$env_file")
    command+=(-f "$here/$1" stop)
    if $dry_run; then
        echo "would run: ${command[*]}"
    else
        "${command[@]}"
    fi
}

stop_compose() { stop_containers docker-compose.yml; }
stop_prod() { stop_containers docker-compose.prod.yml; }

"stop_$mode"
