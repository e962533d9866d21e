STATE=${EVENKEEL_REALSERVER_STATE:-/run/evenkeel-realserver}
CONF=/proc/sys/net/ipv4/conf

# set PARAMETER VALUE: note the old value first, once, then set the new one.
set_to() {
    if ! grep -q "^$1 " "$STATE/parameters" 2>/dev/null; then
        printf '%s %s %s\n' "$1" "$(cat "$1")" "$2" >>"$STATE/parameters"
    fi
    printf '%s' "$2" >"$1"
}

# The kernel takes the larger of `all` and the interface's value; only 1, 2 and 8 keep silent about addresses of lo.
keep_silent() {
    case $(cat "$CONF/all/arp_ignore") in 1 | 2 | 8) ;; *) set_to "$CONF/all/arp_ignore" 1 ;; esac
    case $(cat "$CONF/all/arp_announce") in 2) ;; *) set_to "$CONF/all/arp_announce" 2 ;; esac
    for conf in "$CONF"/*; do
        case ${conf##*/} in all | default | lo) continue ;; esac
        case $(cat "$conf/arp_ignore") in 3 | 4 | 5 | 6 | 7) set_to "$conf/arp_ignore" 1 ;; esac
    done
}

on_lo() {
    case $1 in
    *:*) [ -n "$(ip -6 -o address show dev lo to "$1/128")" ] ;;
    *) [ -n "$(ip -4 -o address show dev lo to "$1/32")" ] ;;
    esac
}

add() {
    case $1 in
    *:*) ip -6 address add "$1/128" dev lo nodad ;;
    *) ip -4 address add "$1/32" dev lo scope host ;;
    esac
}

delete() {
    case $1 in
    *:*) ip -6 address del "$1/128" dev lo ;;
    *) ip -4 address del "$1/32" dev lo ;;
    esac
}

# The kernel's own device for packets of no tunnel that was set up: it takes them from every director. Made by its module.
tunnel_devices() {
    case $TUNNEL in
    ipip | gue) echo "ipip:tunl0 sit:sit0 ip6_tunnel:ip6tnl0" ;;
    gre) echo "ip_gre:gre0 ip6_gre:ip6gre0" ;;
    esac
}

tunnel_up() {
    if [ "$TUNNEL" = gue ] && [ ! -e "$STATE/fou" ]; then
        modprobe fou
        ip fou add port "$GUE_PORT" gue && echo ours >"$STATE/fou"
    fi
    for pair in $(tunnel_devices); do
        device=${pair#*:}
        modprobe "${pair%%:*}" 2>/dev/null || :
        [ -e "/sys/class/net/$device" ] || { echo "$device: this kernel has no such device" >&2; continue; }
        case $(cat "/sys/class/net/$device/flags") in
        *[13579bdf]) ;;
        *) ip link set "$device" up && echo "$device" >>"$STATE/devices" ;;
        esac
        # Clients are routed elsewhere than into the tunnel.
        [ ! -e "$CONF/$device" ] || set_to "$CONF/$device/rp_filter" 2
    done
}

tunnel_down() {
    if [ -e "$STATE/devices" ]; then
        while read -r device; do
            [ -e "/sys/class/net/$device" ] && ip link set "$device" down
        done <"$STATE/devices"
        rm -f "$STATE/devices"
    fi
    if [ -e "$STATE/fou" ]; then
        ip fou del port "$GUE_PORT" || :
        rm -f "$STATE/fou"
    fi
}

up() {
    mkdir -p -m 700 "$STATE"
    ip link set lo up
    for vip in $VIPS; do
        if [ ! -e "$STATE/vip-$vip" ]; then
            if on_lo "$vip"; then echo kept; else echo ours; fi >"$STATE/vip-$vip"
        fi
        case $vip in *:*) ;; *) keep_silent ;; esac
        on_lo "$vip" || add "$vip"
        echo "$vip: up"
    done
    [ -z "$TUNNEL" ] || tunnel_up
}

down() {
    for vip in $VIPS; do
        [ -e "$STATE/vip-$vip" ] || { echo "$vip: was not up"; continue; }
        if [ "$(cat "$STATE/vip-$vip")" = ours ] && on_lo "$vip"; then delete "$vip"; fi
        rm -f "$STATE/vip-$vip"
        echo "$vip: down"
    done
    set -- "$STATE"/vip-*
    [ -e "$1" ] || tunnel_down
    # The old values come back with the last IPv4 VIP.
    for left in "$STATE"/vip-*; do
        case $left in *:* | *'/vip-*') ;; *) return ;; esac
    done
    if [ -e "$STATE/parameters" ]; then
        while read -r parameter before after; do
            [ -e "$parameter" ] && [ "$(cat "$parameter")" = "$after" ] || continue
            printf '%s' "$before" >"$parameter"
        done <"$STATE/parameters"
        rm -f "$STATE/parameters"
    fi
    rmdir "$STATE" 2>/dev/null || :
}

case ${1:-up} in
up) up ;;
down) down ;;
*) echo "use: sh -s up|down" >&2; exit 2 ;;
esac
