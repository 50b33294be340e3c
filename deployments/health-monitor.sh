#!/usr/bin/env bash
# Watches a gateway from outside and notifies a webhook when it goes down, is degraded, or has recovered.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: health-monitor.sh [options]

--url URL              the gateway (default http://127.0.0.1:8000)
--name NAME            what to call it in messages (default: the URL)
--webhook URL          receives a JSON POST for every change (default: $HEALTH_WEBHOOK_URL; none = only print). The field `text`
                       suits Slack, Mattermost and Google Chat; status, previous, reason, since and url are for programs.
--interval SECONDS     pause between two checks (default 15)
--timeout SECONDS      limit for one request (default 5)
--failures N           consecutive checks that must agree before a change is reported (default 3; a recovery is reported at once)
--restart-command CMD  run once when /health has definitely failed, e.g. 'systemctl restart llm-gateway'. Not run while only /ready
                       returns 503: a restart does not bring a database back, and would cut off running streams. Exception: an
                       instance that was declared dead (it was frozen, or cut off) recovers only by a restart, and is restarted.
--state-file FILE      keeps the state across restarts of this script (default: none)
--once                 one check, no webhook: exit 0 healthy, 1 degraded, 2 down
--dry-run              prints what would be posted or run
--help

healthy   /health and /ready return 200, and /health/detailed reports healthy
degraded  it serves, but a component is unhealthy, or it is draining
down      no answer, an error, or /ready returns 503
TEXT
}

url=http://127.0.0.1:8000 name='' webhook=${HEALTH_WEBHOOK_URL:-} interval=15 timeout=5 failures=3
restart_command='' state_file='' once=false dry_run=false

while (($# > 0)); do
    case $1 in
        --url) url=${2:?}; shift ;;
        --name) name=${2:?}; shift ;;
        --webhook) webhook=${2:?}; shift ;;
        --interval) interval=${2:?}; shift ;;
        --timeout) timeout=${2:?}; shift ;;
        --failures) failures=${2:?}; shift ;;
        --restart-command) restart_command=${2:?}; shift ;;
        --state-file) state_file=${2:?}; shift ;;
        --once) once=true ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        *) printf 'health-monitor.sh: unknown option %s (see --help)\n' "$1" >&2; exit 2 ;;
    esac
    shift
done
url=${url%/}
name=${name:-$url}
[[ $interval =~ ^[0-9]+(\.[0-9]+)?$ && $timeout =~ ^[0-9]+(\.[0-9]+)?$ && $failures =~ ^[1-9][0-9]*$ ]] || {
    echo 'health-monitor.sh: --interval, --timeout and --failures must be numbers' >&2
    exit 2
}
command -v curl >/dev/null || { echo 'health-monitor.sh: curl is missing' >&2; exit 2; }

# Sets `code` (000 = no answer) and `body`.
ask() { # path
    local answer
    answer=$(curl -sS -o - -w '\n%{http_code}' --max-time "$timeout" "$url$1" 2>/dev/null) || true
    code=${answer##*$'\n'}
    body=${answer%$'\n'*}
    [[ $code =~ ^[0-9]{3}$ ]] || code=000
}

# The first field of this name: the overall status comes before those of the components.
field() { # name
    grep -oE "\"$1\":\"[^\"]*\"" <<<"$body" | head -n 1 | cut -d'"' -f4 || true
}

unwell() {
    command -v jq >/dev/null || return 0
    jq -r '[.components | to_entries[] | if .value.status then . else .key as $group | .value | to_entries[] | .key |= "\($group).\(.)" end
            | select(.value.status != "up") | "\(.key) \(.value.status)"] | join(", ")' <<<"$body" 2>/dev/null || true
}

# Sets `seen` and `reason`, and `alive`: whether the process itself answers.
look() {
    ask /health
    alive=true
    if [[ $code != 200 ]]; then
        alive=false
        seen=down reason="no answer to /health"
        [[ $code == 000 ]] || reason="/health answers $code"
        return
    fi
    ask /ready
    if [[ $code != 200 ]]; then
        seen=down reason="/ready answers $code"
        if grep -q '"draining":true' <<<"$body"; then
            seen=degraded reason='draining'
            return
        fi
        ask /health/detailed
        if grep -q '"fenced":true' <<<"$body"; then
            alive=false reason='declared dead while it was frozen or cut off: only a restart helps'
        fi
        return
    fi
    ask /health/detailed
    local status
    status=$(field status)
    case $status in
        healthy) seen=healthy reason='all components are up' ;;
        degraded | unhealthy)
            seen=degraded reason=$(unwell)
            reason=${reason:-"/health/detailed reports $status"}
            ;;
        *) seen=degraded reason="/health/detailed returns $code" ;;
    esac
}

json() { # text
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//[$'\t\r\n']/ }
    printf '"%s"' "$text"
}

# Succeeds if the message is delivered, or if there is nobody to notify.
tell() { # status, previous, reason
    local text="$name is $1 (was $2): $3" payload
    payload=$(printf '{"text":%s,"status":%s,"previous":%s,"reason":%s,"url":%s,"host":%s,"since":%s}' \
        "$(json "$text")" "$(json "$1")" "$(json "$2")" "$(json "$3")" "$(json "$url")" "$(json "$(uname -n)")" \
        "$(json "$(date -u +%Y-%m-%dT%H:%M:%SZ)")")
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$text"
    [[ -n $webhook ]] || return 0
    if $dry_run; then
        echo "would post: $payload"
        return 0
    fi
    curl -fsS -o /dev/null --max-time 10 --retry 2 --retry-connrefused -H 'Content-Type: application/json' -d "$payload" "$webhook" ||
        { echo 'the webhook did not accept it; trying again later' >&2; return 1; }
}

restart() {
    [[ -n $restart_command ]] || return 0
    if $dry_run; then
        echo "would run: $restart_command"
        return 0
    fi
    echo "running: $restart_command"
    bash -c "$restart_command" || echo 'the restart command failed' >&2
}

remember() { # state
    known=$1
    [[ -z $state_file ]] || printf '%s\n' "$known" >"$state_file"
}

if $once; then
    look
    echo "$seen: $reason"
    case $seen in healthy) exit 0 ;; degraded) exit 1 ;; *) exit 2 ;; esac
fi

# `known` is what was reported last. If the first check finds everything healthy, there is nothing to report.
known=healthy candidate='' agreeing=0 silent=0
[[ -z $state_file || ! -s $state_file ]] || known=$(head -n 1 "$state_file")
trap 'exit 0' TERM INT
echo "watching $url every $interval s"
while true; do
    look
    if [[ $seen == "$known" ]]; then
        candidate='' agreeing=0
    else
        [[ $seen == "$candidate" ]] || agreeing=0
        candidate=$seen
        agreeing=$((agreeing + 1))
        if [[ $seen == healthy ]] || ((agreeing >= failures)); then
            # Not delivered means not told: the next look tries again. The restart waits for no webhook.
            if tell "$seen" "$known" "$reason"; then remember "$seen"; fi
        fi
    fi
    if $alive; then silent=0; else silent=$((silent + 1)); fi
    if ((silent == failures)); then restart; fi
    sleep "$interval" &
    wait $!
done
