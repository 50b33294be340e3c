#!/usr/bin/env bash
# Closes a machine except for SSH, HTTP and HTTPS. Gateways, PostgreSQL, Redis, Prometheus and Grafana are not for the outside.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: firewall-setup.sh [--backend nftables|ufw] [options]      (as root, unless --dry-run)

--backend NAME       nftables (default) or ufw
--ssh-port PORT      default 22
--ssh-from NETWORK   SSH only from there, e.g. 203.0.113.0/24 or 2001:db8::/32; can be repeated (default: anywhere)
--allow-from NET=PORT  an additional opening, e.g. 10.0.0.0/8=9090; can be repeated
--dry-run            prints the rules and changes nothing
--remove             removes what this script added
--help

Safe to run again: its own table (or its own ufw rules) is replaced as a whole; other tables stay as they are. New SSH
connections are limited to 10 a minute from one address. Established connections stay.

Ports that Docker publishes bypass these rules (it has its own chains). That is why docker-compose.prod.yml binds everything
except nginx to 127.0.0.1.

Exit codes: 0 done, 1 the rules were rejected, 2 invalid usage.
TEXT
}

backend=nftables ssh_port=22 ssh_from=() openings=() dry_run=false remove=false
readonly table=llm_gateway rules_file=/etc/nftables.d/llm-gateway.nft

die() {
    printf 'firewall-setup.sh: %s\n' "$2" >&2
    exit "$1"
}

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= 1 && 10#$1 <= 65535)); }
is_network() { [[ $1 =~ ^[0-9a-fA-F:.]+(/[0-9]{1,3})?$ ]]; }

while (($# > 0)); do
    case $1 in
        --backend) backend=${2:?}; shift ;;
        --ssh-port) ssh_port=${2:?}; shift ;;
        --ssh-from) ssh_from+=("${2:?}"); shift ;;
        --allow-from) openings+=("${2:?}"); shift ;;
        --dry-run) dry_run=true ;;
        --remove) remove=true ;;
        -h | --help) usage; exit 0 ;;
        *) die 2 "unknown option $1 (see --help)" ;;
    esac
    shift
done
[[ $backend == nftables || $backend == ufw ]] || die 2 '--backend must be nftables or ufw'
is_port "$ssh_port" || die 2 '--ssh-port must be a port number'
for network in "${ssh_from[@]}"; do is_network "$network" || die 2 "$network is not a network"; done
for opening in "${openings[@]}"; do
    if ! is_network "${opening%=*}" || ! is_port "${opening##*=}"; then die 2 "$opening is not NETWORK=PORT"; fi
done
$dry_run || ((EUID == 0)) || die 2 'must be run as root (or with --dry-run)'

family() { [[ $1 == *:* ]] && echo ip6 || echo ip; }

nft_rules() {
    local network opening
    cat <<NFT
#!/usr/sbin/nft -f
# Written by firewall-setup.sh: changes are lost when it runs again.
add table inet $table
delete table inet $table
table inet $table {
    set ssh_callers_4 { type ipv4_addr; flags dynamic; size 65536; timeout 1m; }
    set ssh_callers_6 { type ipv6_addr; flags dynamic; size 65536; timeout 1m; }
    chain ssh {
        ip saddr != 0.0.0.0/32 update @ssh_callers_4 { ip saddr limit rate over 10/minute burst 5 packets } drop
        ip6 saddr != ::/128 update @ssh_callers_6 { ip6 saddr limit rate over 10/minute burst 5 packets } drop
        accept
    }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname "lo" accept
        ip protocol icmp limit rate 50/second accept
        meta l4proto icmpv6 accept
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6: its answers belong to no connection"
        tcp dport { 80, 443 } accept
NFT
    if ((${#ssh_from[@]} == 0)); then
        echo "        tcp dport $ssh_port ct state new jump ssh"
    else
        for network in "${ssh_from[@]}"; do
            echo "        $(family "$network") saddr $network tcp dport $ssh_port ct state new jump ssh"
        done
    fi
    for opening in "${openings[@]}"; do
        echo "        $(family "${opening%=*}") saddr ${opening%=*} tcp dport ${opening##*=} accept"
    done
    cat <<'NFT'
    }
}
NFT
}

with_nftables() {
    if $remove; then
        if $dry_run; then
            echo "would delete table inet $table and $rules_file"
            return
        fi
        nft delete table inet "$table" 2>/dev/null || true
        rm -f "$rules_file"
        # A line for a file that is gone would keep nftables.service from starting.
        [[ ! -f /etc/nftables.conf ]] || sed -i "\\|^include \"$rules_file\"\$|d" /etc/nftables.conf
        return
    fi
    if $dry_run; then
        nft_rules
        return
    fi
    command -v nft >/dev/null || die 2 'nft is missing (Debian: apt-get install nftables)'
    draft=$(mktemp)
    trap 'rm -f "$draft"' EXIT
    nft_rules >"$draft"
    nft --check --file "$draft" || die 1 'nft rejected the rules'
    install -D -m 0644 "$draft" "$rules_file"
    nft --file "$rules_file"
    # nftables.service loads /etc/nftables.conf at boot: it must know of the file.
    if ! grep -qF "include \"$rules_file\"" /etc/nftables.conf 2>/dev/null; then
        echo "include \"$rules_file\"" >>/etc/nftables.conf
    fi
    # For the next boot only. Started now, it would begin with the `flush ruleset` of Debian's file, and take Docker's rules away.
    if command -v systemctl >/dev/null && systemctl is-system-running --quiet 2>/dev/null; then systemctl enable nftables.service; fi
    echo "in force: nft list table inet $table"
}

with_ufw() {
    local network opening command
    local -a commands=()
    if $remove; then
        commands+=('ufw --force delete allow 80/tcp' 'ufw --force delete allow 443/tcp')
        if ((${#ssh_from[@]} == 0)); then commands+=("ufw --force delete limit $ssh_port/tcp"); fi
        for network in "${ssh_from[@]}"; do commands+=("ufw --force delete limit from $network to any port $ssh_port proto tcp"); done
        for opening in "${openings[@]}"; do commands+=("ufw --force delete allow from ${opening%=*} to any port ${opening##*=} proto tcp"); done
    else
        commands+=('ufw default deny incoming' 'ufw default allow outgoing')
        if ((${#ssh_from[@]} == 0)); then commands+=("ufw limit $ssh_port/tcp"); fi
        for network in "${ssh_from[@]}"; do commands+=("ufw limit from $network to any port $ssh_port proto tcp"); done
        commands+=('ufw allow 80/tcp' 'ufw allow 443/tcp')
        for opening in "${openings[@]}"; do commands+=("ufw allow from ${opening%=*} to any port ${opening##*=} proto tcp"); done
        commands+=('ufw --force enable')
    fi
    $dry_run || command -v ufw >/dev/null || die 2 'ufw is missing (Debian: apt-get install ufw)'
    for command in "${commands[@]}"; do
        if $dry_run; then
            echo "would run: $command"
        else
            read -r -a words <<<"$command"
            "${words[@]}" || die 1 "rejected: $command"
        fi
    done
}

"with_$backend"
