#!/usr/bin/env bash
# Dumps the gateway's database: one consistent snapshot, verified, optionally encrypted; old backups are removed.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: DATABASE_URL=postgres://… backup.sh [options]

--dir DIR               where backups are kept (default: ./backups)
--env-file FILE         reads DATABASE_URL from this file if it is not in the environment
--keep-days N           removes backups older than N days (default 14), but never the newest three
--passphrase-file FILE  encrypts with a passphrase (gpg, AES-256)
--recipient KEY         encrypts for a gpg public key; this machine then cannot read its own backups
--every SECONDS         repeats for ever, with this pause (for a container); failures are reported and retried
--dry-run               prints what would be done
--help

Writes llm-gateway-<UTC time>.dump[.gpg] and a .sha256 beside it. The file appears only when it is complete and readable.
pg_dump must not be older than the server.

Exit codes: 0 done, 1 the dump failed, 2 invalid usage, 3 another backup is running, 4 pg_dump is older than the server.
TEXT
}

dir=./backups env_file='' keep_days=14 passphrase_file='' recipient='' every='' dry_run=false
readonly keep_least=3

die() {
    printf 'backup.sh: %s\n' "$2" >&2
    exit "$1"
}

while (($# > 0)); do
    case $1 in
        --dir) dir=${2:?}; shift ;;
        --env-file) env_file=${2:?}; shift ;;
        --keep-days) keep_days=${2:?}; shift ;;
        --passphrase-file) passphrase_file=${2:?}; shift ;;
        --recipient) recipient=${2:?}; shift ;;
        --every) every=${2:?}; shift ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
    esac
    shift
done
[[ $keep_days =~ ^[0-9]+$ ]] || die 2 '--keep-days must be a number'
[[ -z $every || $every =~ ^[1-9][0-9]*$ ]] || die 2 '--every must be a number of seconds'
[[ -z $passphrase_file || -s $passphrase_file ]] || die 2 "the passphrase file $passphrase_file is missing or empty"
[[ -z $passphrase_file || -z $recipient ]] || die 2 'use either --passphrase-file or --recipient, not both'

if [[ -z ${DATABASE_URL:-} && -n $env_file ]]; then
    DATABASE_URL=$(grep -E '^[[:space:]]*DATABASE_URL=' "$env_file" | tail -n 1 | cut -d= -f2- | tr -d "\"'") || true
fi
[[ ${DATABASE_URL:-} =~ ^postgres(ql)?:// ]] ||
    die 2 'DATABASE_URL is not set (for the embedded database: stop the gateway and copy the folder DATA_DIR)'

# libpq gets the password through the environment: a command line can be read by every user of the machine.
if [[ $DATABASE_URL =~ ^([a-z]+://[^:@/]*):([^@]*)@(.*)$ ]]; then
    encoded=${BASH_REMATCH[2]}
    url=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
    printf -v PGPASSWORD '%b' "${encoded//%/\\x}"
    export PGPASSWORD
else
    url=$DATABASE_URL
fi
unset DATABASE_URL

for program in pg_dump pg_restore psql sha256sum flock; do
    command -v "$program" >/dev/null || die 2 "$program is missing (Debian: postgresql-client)"
done
[[ -z $passphrase_file$recipient ]] || command -v gpg >/dev/null || die 2 'gpg is missing (Debian: gnupg)'

encrypt() {
    if [[ -n $passphrase_file ]]; then
        gpg --batch --quiet --yes --pinentry-mode loopback --passphrase-file "$passphrase_file" \
            --symmetric --cipher-algo AES256 --compress-algo none
    elif [[ -n $recipient ]]; then
        gpg --batch --quiet --yes --trust-model always --recipient "$recipient" --encrypt --compress-algo none
    else
        cat
    fi
}

# Reads to the last byte: every block is unpacked, and a decryption whose reader stops early would count as failed.
read_through() {
    pg_restore --file /dev/null && cat >/dev/null
}

# A backup that cannot be read back is worthless. One for a public key can only be read elsewhere.
verify() { # file
    if [[ -n $recipient ]]; then
        [[ -s $1 ]]
    elif [[ -n $passphrase_file ]]; then
        gpg --batch --quiet --pinentry-mode loopback --passphrase-file "$passphrase_file" --decrypt "$1" |
            read_through
    else
        read_through <"$1"
    fi
}

check_version() {
    local server client
    server=$(psql --no-psqlrc -XAt -d "$url" -c 'SHOW server_version_num') || die 1 'the database cannot be reached'
    client=$(pg_dump --version | grep -oE '[0-9]+' | head -n 1)
    ((client >= server / 10000)) || die 4 "pg_dump $client cannot dump a server of version $((server / 10000))"
}

remove_old() {
    local count=0 file
    while IFS= read -r file; do
        count=$((count + 1))
        ((count > keep_least)) || continue
        [[ -n $(find "$file" -mtime "+$keep_days" -print) ]] || continue
        rm -f -- "$file" "$file.sha256"
        echo "removed $file"
    done < <(find "$dir" -maxdepth 1 -type f \( -name 'llm-gateway-*.dump' -o -name 'llm-gateway-*.dump.gpg' \) | sort -r)
}

back_up() (
    umask 077
    mkdir -p "$dir"
    exec 9>"$dir/.lock"
    flock --nonblock 9 || die 3 'another backup is running'
    check_version
    name=llm-gateway-$(date -u +%Y%m%dT%H%M%SZ).dump
    [[ -z $passphrase_file$recipient ]] || name+=.gpg
    partial=$dir/.$name.partial
    trap 'rm -f -- "$partial" "$dir/$name.sha256"' EXIT
    rm -f -- "$dir"/.llm-gateway-*.partial
    pg_dump --dbname "$url" --format custom --no-owner --no-privileges --lock-wait-timeout 30s | encrypt >"$partial" ||
        die 1 'pg_dump failed'
    verify "$partial" || die 1 'the backup cannot be read back'
    sync "$partial"
    (cd "$dir" && sha256sum ".$name.partial" | sed "s/\\.$name\\.partial/$name/" >"$name.sha256")
    mv -- "$partial" "$dir/$name"
    trap - EXIT
    remove_old
    echo "wrote $dir/$name ($(stat -c %s "$dir/$name") bytes)"
)

if $dry_run; then
    echo "would dump ${url#*@} to $dir/llm-gateway-<UTC time>.dump${passphrase_file:+.gpg}${recipient:+.gpg}"
    echo "would remove backups older than $keep_days days, but not the newest $keep_least"
    exit 0
fi
if [[ -z $every ]]; then
    back_up
    exit
fi
trap 'exit 0' TERM INT
while true; do
    # Not `back_up || …`: to the left of that no fault stops it.
    back_up &
    wait $! || echo "backup.sh: failed (code $?); next attempt in $every s" >&2
    sleep "$every" &
    wait $!
done
