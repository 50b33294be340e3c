#!/usr/bin/env bash
# Starts the gateway and waits until it accepts traffic. A second call does not change anything that is already running.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: start.sh local   [--instances N] [--first-port P] [--run-dir DIR] [--rolling] [--wait SECONDS] [--dry-run]
       start.sh compose [--env-file FILE] [--wait SECONDS] [--dry-run]
       start.sh prod    [--env-file FILE] [--rolling] [--wait SECONDS] [--dry-run]

local    The built program as processes on this machine: port 8000 for one instance, 8001, 8002, … for several (as in
         nginx/upstreams.local.conf). Reads .env in the project's folder. Process ids and logs go to --run-dir
         (default: data/run in the project's folder).
compose  docker-compose.yml: one gateway, PostgreSQL, Redis.
prod     docker-compose.prod.yml: three gateways behind nginx, with monitoring and backups.

--rolling   restarts one instance after another, each only when the previous one is ready again (deploys a new build)
--wait      how long an instance may take until /ready answers 200 (default 60; several minutes for a first `prod`)
--env-file  default: .env in the project's folder
--dry-run   prints what would be done

Exit codes: 0 running and ready, 1 could not be started, 2 invalid usage or missing settings.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
instances=1 first_port='' run_dir=$root/data/run rolling=false wait_seconds=60 env_file=$root/.env dry_run=false

die() {
    printf 'start.sh: %s\n' "$2" >&2
    exit "$1"
}

run() {
    if $dry_run; then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

case ${1:-} in
    local | compose | prod) mode=$1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
shift
while (($# > 0)); do
    case $1 in
        --instances) instances=${2:?}; shift ;;
        --first-port) first_port=${2:?}; shift ;;
        --run-dir) run_dir=${2:?}; shift ;;
        --env-file) env_file=${2:?}; shift ;;
        --wait) wait_seconds=${2:?}; shift ;;
        --rolling) rolling=true ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
    esac
    shift
done
[[ $instances =~ ^[1-9][0-9]?$ ]] || die 2 '--instances must be a number from 1 to 99'
[[ $wait_seconds =~ ^[0-9]+$ ]] || die 2 '--wait must be a number of seconds'

# ── Processes of this machine ───────────────────────────────────────────────────────────────────────────────────────

is_running() { # pid file
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 1
    [[ -r /proc/$pid/cmdline ]] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'dist/src/main.js'
}

wait_until_ready() { # port, pid file
    local until=$((SECONDS + wait_seconds))
    while ((SECONDS < until)); do
        curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$1/ready" 2>/dev/null && return 0
        # Not is_running: for a moment the process is still the shell that becomes the gateway.
        kill -0 "$(cat "$2")" 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}

start_one() { # port
    local port=$1 pid_file=$run_dir/gateway-$1.pid log=$run_dir/gateway-$1.log
    if is_running "$pid_file"; then
        echo "gateway on port $port is already running (process $(cat "$pid_file"))"
        return
    fi
    if $dry_run; then
        echo "would start: PORT=$port $node --max-semi-space-size=32 --enable-source-maps --disallow-code-generation-from-strings dist/src/main.js  (log: $log)"
        return
    fi
    mkdir -p "$run_dir"
    # A session of its own, so that it outlives this terminal; appending, so that the log can be rotated (logrotate.conf).
    (cd "$root" && PORT=$port exec setsid "$node" --max-semi-space-size=32 --enable-source-maps --disallow-code-generation-from-strings dist/src/main.js >>"$log" 2>&1 </dev/null) &
    echo $! >"$pid_file"
    wait_until_ready "$port" "$pid_file" || {
        tail -n 20 "$log" >&2
        is_running "$pid_file" || rm -f "$pid_file"
        die 1 "the gateway on port $port did not become ready; its log is $log"
    }
    echo "gateway on port $port is ready (process $(cat "$pid_file"))"
}

start_local() {
    node=$root/node_modules/.bin/node
    [[ -x $node ]] || node=$(command -v node) || die 2 'node is missing: run npm ci'
    [[ -f $root/dist/src/main.js ]] || die 2 'the gateway is not built: run npm ci && npm run build'
    local first=${first_port:-$((instances == 1 ? 8000 : 8001))} index
    (cd "$root" && PORT=$first "$node" dist/src/cli.js check:env) || die 2 'the environment is not valid; see above'
    for ((index = 0; index < instances; index++)); do
        if $rolling; then run "$here/stop.sh" local --run-dir "$run_dir" --port "$((first + index))"; fi
        start_one "$((first + index))"
    done
}

# ── Containers ──────────────────────────────────────────────────────────────────────────────────────────────────────

setting() { # name: the environment's value, else the file's
    local line
    if [[ -n ${!1:-} ]]; then
        printf '%s' "${!1}"
        return
    fi
    line=$(grep -E "^[[:space:]]*$1=" "$env_file" 2>/dev/null | tail -n 1) || return 0
    line=${line#*=}
    line=${line%\"} line=${line#\"} line=${line%\'} line=${line#\'}
    printf '%s' "$line"
}

# The gateway itself refuses a weak secret; here it is reported before anything is built.
check_secrets() {
    local name value faults=0
    for name in "$@"; do
        value=$(setting "$name")
        if [[ -z $value ]]; then
            echo "$name is not set (in $env_file)" >&2
            faults=1
        elif [[ $name == JWT_SECRET_KEY && ${#value} -lt 32 ]]; then
            echo "$name is shorter than 32 bytes: openssl rand -base64 48" >&2
            faults=1
        elif [[ ${value,,} =~ change|replace|example|password|your[-_] ]]; then
            echo "$name is an example from the documentation" >&2
            faults=1
        elif [[ $name == POSTGRES_PASSWORD || $name == REDIS_PASSWORD ]] && [[ ! $value =~ ^[A-Za-z0-9._~-]+$ ]]; then
            echo "$name must consist of letters and digits: it becomes part of a URL (openssl rand -hex 24)" >&2
            faults=1
        fi
    done
    ((faults == 0)) || exit 2
}

compose() { # file, arguments
    local file=$1 given=()
    shift
    [[ ! -f $env_file ]] || given=(--env-file "$env_file")
    run docker compose "${given[@]}" -f "$here/$file" "$@"
}

require_docker() {
    $dry_run || docker compose version >/dev/null 2>&1 || die 2 'docker with its compose plugin is missing'
}

start_compose() {
    check_secrets JWT_SECRET_KEY POSTGRES_PASSWORD
    require_docker
    compose docker-compose.yml up -d --build --wait --wait-timeout "$wait_seconds"
}

start_prod() {
    local file=docker-compose.prod.yml index tls
    check_secrets JWT_SECRET_KEY POSTGRES_PASSWORD REDIS_PASSWORD METRICS_TOKEN GRAFANA_ADMIN_PASSWORD BACKUP_PASSPHRASE
    tls=$(setting TLS_DIR)
    tls=$(cd "$here" && realpath -m -- "${tls:-tls}")
    [[ -f $tls/fullchain.pem ]] || die 2 "there is no certificate in $tls; run ssl-setup.sh"
    require_docker
    if $rolling; then
        compose $file build gateway-1
        compose $file run --rm migrate
        # Not --no-deps: a Compose before 2.30 takes a service without its dependencies for another one, and the last line
        # would then make all gateways and nginx anew at once.
        for index in 1 2 3; do
            compose $file up -d --wait --wait-timeout "$wait_seconds" "gateway-$index"
        done
    fi
    compose $file up -d --build --wait --wait-timeout "$wait_seconds"
}

"start_$mode"
