#!/usr/bin/env bash
# Gets the certificate that nginx.conf reads: from Let's Encrypt, or a self-signed one for a local trial.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: ssl-setup.sh --domain NAME --email ADDRESS [options]       Let's Encrypt, renewed automatically
       ssl-setup.sh --self-signed [--domain NAME] [options]       for a trial: clients must be configured to trust it

--domain NAME     can be repeated; the first one names the certificate (self-signed default: localhost)
--email ADDRESS   where Let's Encrypt writes before a certificate expires
--out DIR         where fullchain.pem and privkey.pem go (default /etc/nginx/tls; for Compose: deployments/tls)
--webroot DIR     what nginx serves below /.well-known/acme-challenge (default /var/www/acme; for Compose: deployments/acme)
--standalone      nginx is not running yet: certbot itself listens on port 80, once; renewals go through nginx and --webroot
--staging         Let's Encrypt's test service: no limits, not trusted
--reload CMD      how nginx is told of a new certificate (default: `nginx -s reload` if nginx runs here;
                  for Compose: 'docker compose --env-file …/.env -f …/docker-compose.prod.yml exec -T nginx nginx -s reload')
--certbot-dir DIR certbot's own folder (default /etc/letsencrypt, which its timer renews)
--days N          how long a self-signed certificate is valid (default 365)
--force           make a new one even if the current one is valid for 30 days or more
--dry-run         prints what would be done
--help

A certificate that is still valid for 30 days is left alone, so this can be run again at any time.

Exit codes: 0 there is a valid certificate, 1 it could not be obtained, 2 invalid usage.
TEXT
}

domains=() email='' out=/etc/nginx/tls webroot=/var/www/acme reload='' days=365 certbot_dir=/etc/letsencrypt
self_signed=false standalone=false staging=false force=false dry_run=false

die() {
    printf 'ssl-setup.sh: %s\n' "$2" >&2
    exit "$1"
}

while (($# > 0)); do
    case $1 in
        --domain) domains+=("${2:?}"); shift ;;
        --email) email=${2:?}; shift ;;
        --out) out=${2:?}; shift ;;
        --webroot) webroot=${2:?}; shift ;;
        --reload) reload=${2:?}; shift ;;
        --certbot-dir) certbot_dir=${2:?}; shift ;;
        --days) days=${2:?}; shift ;;
        --self-signed) self_signed=true ;;
        --standalone) standalone=true ;;
        --staging) staging=true ;;
        --force) force=true ;;
        --dry-run) dry_run=true ;;
        -h | --help) usage; exit 0 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
    esac
    shift
done
if $self_signed && ((${#domains[@]} == 0)); then domains=(localhost); fi
((${#domains[@]} > 0)) || die 2 '--domain is missing (see --help)'
for domain in "${domains[@]}"; do
    [[ $domain =~ ^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] || die 2 "$domain is not a host name"
done
[[ $days =~ ^[1-9][0-9]*$ ]] || die 2 '--days must be a number'
command -v openssl >/dev/null || die 2 'openssl is missing'
# The hook and certbot's timer run in a different folder.
out=$(realpath -m -- "$out") webroot=$(realpath -m -- "$webroot") certbot_dir=$(realpath -m -- "$certbot_dir")

run() {
    if $dry_run; then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

is_good() { # certificate: there, for these names, for 30 days and more
    local domain
    openssl x509 -in "$1" -noout -checkend $((30 * 86400)) >/dev/null 2>&1 || return 1
    for domain in "${domains[@]}"; do
        openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | grep -qE "DNS:${domain//./\\.}(,|\$)" || return 1
    done
}

# Written under another name first: nginx may read at any moment.
put() { # file, name, mode
    run install -d -m 0755 "$out"
    run install -m "$3" "$1" "$out/.$2.new"
    run mv -f "$out/.$2.new" "$out/$2"
}

reload_nginx() {
    if $standalone; then
        return
    elif [[ -n $reload ]]; then
        run bash -c "$reload"
    elif [[ -s /run/nginx.pid ]] && kill -0 "$(cat /run/nginx.pid)" 2>/dev/null; then
        run nginx -s reload
    fi
}

make_self_signed() {
    local names='' domain draft
    for domain in "${domains[@]}"; do names+="DNS:$domain,"; done
    if $dry_run; then
        echo "would make a self-signed certificate for ${names%,},IP:127.0.0.1,IP:::1 in $out, valid for $days days"
        return
    fi
    draft=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder's name is known now, and gone later
    trap "rm -rf -- '$draft'" EXIT
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days "$days" \
        -subj "/CN=${domains[0]}" -addext "subjectAltName=${names%,},IP:127.0.0.1,IP:::1" \
        -addext 'basicConstraints=critical,CA:FALSE' -addext 'extendedKeyUsage=serverAuth' \
        -keyout "$draft/privkey.pem" -out "$draft/fullchain.pem" 2>/dev/null || die 1 'openssl could not make the certificate'
    put "$draft/privkey.pem" privkey.pem 0600
    put "$draft/fullchain.pem" fullchain.pem 0644
    echo "made $out/fullchain.pem (self-signed, $days days)"
}

# certbot renews in the same way as it got the certificate: a server of its own would find port 80 taken by nginx.
renew_by_webroot() { # renewal configuration
    local draft domain
    draft=$(grep -vE '^(authenticator|webroot_path) *=' "$1" | sed '/^\[\[webroot_map\]\]/,$d')
    {
        printf '%s\nauthenticator = webroot\nwebroot_path = %s,\n[[webroot_map]]\n' "$draft" "$webroot"
        for domain in "${domains[@]}"; do printf '%s = %s\n' "$domain" "$webroot"; done
    } >"$1.new"
    mv -f "$1.new" "$1"
}

ask_lets_encrypt() {
    local domain live=$certbot_dir/live/${domains[0]} hook=$certbot_dir/renewal-hooks/deploy/llm-gateway
    [[ -n $email ]] || die 2 '--email is missing (see --help)'
    $dry_run || command -v certbot >/dev/null || die 2 'certbot is missing (Debian: apt-get install certbot)'
    local command=(certbot certonly --non-interactive --agree-tos --config-dir "$certbot_dir" --email "$email" --key-type ecdsa)
    # With names added to those that a certificate has, a new one is made without asking.
    command+=(--cert-name "${domains[0]}" --renew-with-new-domains)
    if $force; then command+=(--force-renewal); else command+=(--keep-until-expiring); fi
    for domain in "${domains[@]}"; do command+=(-d "$domain"); done
    if $standalone; then command+=(--standalone); else command+=(--webroot -w "$webroot"); fi
    if $staging; then command+=(--staging); fi
    run install -d -m 0755 "$webroot"
    run "${command[@]}" || die 1 'certbot could not get the certificate: is port 80 of this name reachable from the internet?'
    put "$live/privkey.pem" privkey.pem 0600
    put "$live/fullchain.pem" fullchain.pem 0644
    if $standalone; then run renew_by_webroot "$certbot_dir/renewal/${domains[0]}.conf"; fi
    # certbot's timer renews; this brings what it renewed to nginx.
    if $dry_run; then
        echo "would write $hook"
        return
    fi
    install -d -m 0755 "$(dirname "$hook")"
    cat >"$hook" <<HOOK
#!/bin/sh
set -eu
install -m 0600 '$live/privkey.pem' '$out/.privkey.pem.new' && mv -f '$out/.privkey.pem.new' '$out/privkey.pem'
install -m 0644 '$live/fullchain.pem' '$out/.fullchain.pem.new' && mv -f '$out/.fullchain.pem.new' '$out/fullchain.pem'
${reload:-nginx -s reload}
HOOK
    chmod 0755 "$hook"
}

if ! $force && [[ -s $out/privkey.pem ]] && is_good "$out/fullchain.pem"; then
    echo "the certificate in $out is valid until $(openssl x509 -in "$out/fullchain.pem" -noout -enddate | cut -d= -f2)"
    exit 0
fi
if $self_signed; then make_self_signed; else ask_lets_encrypt; fi
reload_nginx
