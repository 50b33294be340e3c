#!/usr/bin/env bash
# Watches a gateway from outside and tells a webhook when it goes down, is degraded, or has recovered.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: health-monitor.sh [options]

--url URL              the gateway (default http://127.0.0.1:8000)
--name NAME            what to call it in messages (default: the URL)
--webhook URL          gets a JSON POST for every change (default: $HEALTH_WEBHOOK_URL; none = only print). The field `text`
                       suits Slack, Mattermost and Google Chat; status, previous, reason, since and url suit programs.
--interval SECONDS     between two looks (default 15)
--timeout SECONDS      for one request (default 5)
--failures N           looks in a row that must agree before a change is told (default 3; a recovery is told at once)
--restart-command CMD  run once when /health has no good answer for sure, e.g. 'systemctl restart llm-gateway'. Not while only /ready
                       says 503: a database that is away comes back for no restart, and running streams would be cut. An instance that
                       was declared dead (it was frozen, or cut off) comes back for nothing else, and is restarted.
--state-file FILE      remembers the state over restarts of this script (default: none)
--once                 one look, no webhook: exit 0 healthy, 1 degraded, 2 down
--dry-run              prints what would be posted or run
--help

healthy   /health and /ready answer 200, /health/detailed says so
degraded  it serves, but a component is not well, or it is draining
down      no answer, an error, or /ready says 503
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

# The first field of this name: the page's own status stands before those of its components.
field() { # name
    grep -oE "\"$1\":\"[^\"]*\"" <<<"$body" | head -n 1 | cut -d'"' -f4 || true
}

unwell() {
    command -v jq >/dev/null || return 0
    jq -r '[.components | to_entries[] | if .value.status then . else .key as $group | .value | to_entries[] | .key |= "\($group).\(.)" end
            | select(.value.status != "up") | "\(.key) \(.value.status)"] | join(", ")' <<<"$body" 2>/dev/null || true
}

# Sets `seen` and `reason`, and `alive`: whether the process answers for itself.
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
            reason=${reason:-"/health/detailed says $status"}
            ;;
        *) seen=degraded reason="/health/detailed answers $code" ;;
    esac
}

json() { # text
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//[$'\t\r\n']/ }
    printf '"%s"' "$text"
}

# Succeeds when the message is delivered, or when there is nobody to tell.
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
        { echo 'the webhook did not take it; trying again later' >&2; return 1; }
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

# `known` is what was told last. A first look that finds everything well is nothing to tell.
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
