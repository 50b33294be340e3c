#!/usr/bin/env bash
# Restores a backup made by backup.sh and audits the ledger afterwards. Deletes nothing: a database that is replaced is kept
# under another name.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: DATABASE_URL=postgres://… restore.sh (FILE | --latest DIR) [options]

FILE                    a .dump or .dump.gpg from backup.sh; its .sha256, if present, must match
--latest DIR            the newest backup in that folder
--env-file FILE         reads DATABASE_URL from this file if it is not in the environment
--passphrase-file FILE  for a backup encrypted with a passphrase (a key in gpg's own keyring needs no option)
--replace               if the database has tables: rename it to <name>_before_<UTC time> and restore into a new one.
                        Without this, the database must be empty; if it does not exist, it is created.
--no-audit              don't run `audit:ledger` afterwards (it needs the built gateway in the folder above this script)
--yes                   don't ask for confirmation
--dry-run               checks the file and prints what would be done
--help

Stop every gateway first: while one is connected, nothing is changed. Start them again afterwards; whatever their journals
still hold is booked into the restored database, each settlement once.

Exit codes: 0 restored (and the books balance), 1 failed, 2 invalid usage, 3 a gateway is still connected,
4 restored, but the audit found a fault.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
file='' latest='' env_file='' passphrase_file='' replace=false audit=true assume_yes=false dry_run=false

die() {
    printf 'restore.sh: %s\n' "$2" >&2
    exit "$1"
}

while (($# > 0)); do
    case $1 in
        --latest) latest=${2:?}; shift ;;
        --env-file) env_file=${2:?}; shift ;;
        --passphrase-file) passphrase_file=${2:?}; shift ;;
        --replace) replace=true ;;
        --no-audit) audit=false ;;
        --yes) assume_yes=true ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        -*) die 2 "unknown option $1 (see --help)" ;;
        *) file=$1 ;;
    esac
    shift
done

if [[ -n $latest ]]; then
    file=$(find "$latest" -maxdepth 1 -type f \( -name 'llm-gateway-*.dump' -o -name 'llm-gateway-*.dump.gpg' \) | sort | tail -n 1)
fi
[[ -n $file ]] || die 2 'name a backup, or --latest (see --help)'
[[ -r $file ]] || die 2 "$file cannot be read"
if [[ -z ${DATABASE_URL:-} && -n $env_file ]]; then
    DATABASE_URL=$(grep -E '^[[:space:]]*DATABASE_URL=' "$env_file" | tail -n 1 | cut -d= -f2- | tr -d "\"'") || true
fi
# user, password, host and port, database, parameters
[[ ${DATABASE_URL:-} =~ ^(postgres(ql)?://[^:@/]*)(:([^@]*))?(@[^/]*|[^@/]*)/([A-Za-z0-9_-]+)(\?.*)?$ ]] ||
    die 2 'DATABASE_URL must be set and name a database: postgres://user:password@host:port/database'
database=${BASH_REMATCH[6]}
encoded=${BASH_REMATCH[4]}
base=${BASH_REMATCH[1]}${BASH_REMATCH[5]}
parameters=${BASH_REMATCH[7]}
if [[ -n $encoded ]]; then
    printf -v PGPASSWORD '%b' "${encoded//%/\\x}"
    export PGPASSWORD
fi

sql() { # database, statement
    psql --no-psqlrc -XAt -v ON_ERROR_STOP=1 -d "$base/$1$parameters" -c "$2"
}

plain() {
    if [[ $file != *.gpg ]]; then
        cat -- "$file"
    elif [[ -n $passphrase_file ]]; then
        gpg --batch --quiet --pinentry-mode loopback --passphrase-file "$passphrase_file" --decrypt "$file"
    else
        gpg --batch --quiet --decrypt "$file"
    fi
}

check_file() {
    if [[ -f $file.sha256 ]]; then
        (cd "$(dirname "$file")" && sha256sum --quiet --check "$(basename "$file").sha256") ||
            die 1 'the file is damaged: its checksum does not match'
    fi
    # To the last byte: a `plain` whose reader stops early would count as failed.
    plain | { pg_restore --file /dev/null && cat >/dev/null; } || die 1 'the file cannot be read (wrong passphrase, or not a backup)'
}

check_file
exists=$(sql postgres "SELECT count(*) FROM pg_database WHERE datname = '$database'") || die 1 'the server cannot be reached'
tables=0 connected=0
if ((exists == 1)); then
    tables=$(sql "$database" "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
    connected=$(sql postgres "SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND application_name = 'llm-gateway'")
fi
((connected == 0)) || die 3 "$connected gateway connections are open: stop every gateway first"
if ((tables > 0)) && ! $replace; then
    die 2 "the database $database has $tables tables: use --replace to put it aside and restore into a new one"
fi
aside=${database}_before_$(date -u +%Y%m%dT%H%M%SZ)

echo "backup:   $file"
echo "target:   database $database at ${base#*://}"
((tables == 0)) || echo "aside:    the current database is renamed to $aside"
if $dry_run; then
    echo 'dry run: nothing was changed'
    exit 0
fi
if ! $assume_yes; then
    read -r -p 'Type the name of the database to go on: ' answer
    [[ $answer == "$database" ]] || die 2 'not confirmed'
fi

((tables == 0)) || sql postgres "ALTER DATABASE \"$database\" RENAME TO \"$aside\"" >/dev/null
if ((exists == 0 || tables > 0)); then
    sql postgres "CREATE DATABASE \"$database\" TEMPLATE template0 ENCODING 'UTF8'" >/dev/null
fi
plain | { pg_restore --dbname "$base/$database$parameters" --no-owner --no-privileges --exit-on-error --single-transaction && cat >/dev/null; } ||
    die 1 "pg_restore failed; $database is empty$( ((tables == 0)) || printf ', the previous one is %s' "$aside")"
sql "$database" 'ANALYZE' >/dev/null
echo "restored $database"

if $audit; then
    node=$root/node_modules/.bin/node
    [[ -x $node ]] || node=node
    [[ -f $root/dist/src/cli.js ]] ||
        die 1 'restored, but the audit could not run: build the gateway, then run npm run audit:ledger (or use --no-audit)'
    (cd "$root" && DATABASE_URL=$DATABASE_URL "$node" dist/src/cli.js audit:ledger) || die 4 'the audit found a fault; see above'
fi
