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

# Devices that take the packets of every director: name, module, kind and its settings. Only for IPv6 in IPv4 it is the
# module's own device, where it makes one.
tunnel_devices() {
    case $TUNNEL in
    ipip | gue)
        echo "ek-ipip ipip external"
        echo "ek-sit sit"
        echo "ek-ip6tnl ip6tnl external"
        ;;
    gre)
        echo "ek-gre gre external"
        echo "ek-ip6gre ip6gre external"
        ;;
    gre-csum)
        echo "ek-gre gre external icsum"
        echo "ek-ip6gre ip6gre external icsum"
        ;;
    esac
}

there() {
    ip link show dev "$1" >/dev/null 2>&1
}

gue_up() {
    [ "$TUNNEL" = gue ] && [ ! -e "$STATE/fou" ] || return 0
    modprobe fou
    ip fou add port "$GUE_PORT" gue && echo ours >"$STATE/fou"
    [ ! -e /proc/net/if_inet6 ] || ip fou add port "$GUE_PORT" gue -6
}

# Clients are routed elsewhere than into the tunnel. Of a device without an address even loose filtering takes nothing; RFC 7600
# has one for devices that need none.
accept_clients() {
    printf 0 >"$CONF/$1/rp_filter"
    [ "$(cat "$CONF/all/rp_filter")" != 0 ] || return 0
    printf 2 >"$CONF/$1/rp_filter"
    ip -4 address add 192.0.0.8/32 dev "$1" scope host
}

tunnel_up() {
    gue_up
    tunnel_devices | while read -r device kind settings; do
        ! there "$device" || continue
        # shellcheck disable=SC2086
        if ip link add "$device" type "$kind" $settings 2>/dev/null; then
            echo "$device" >>"$STATE/devices"
        elif [ "$kind" = sit ] && there sit0; then
            device=sit0
            [ -z "$(ip -o link show dev sit0 up)" ] || continue
            echo "$device" >>"$STATE/devices"
        else
            echo "$device: cannot make a $kind device" >&2
            continue
        fi
        ip link set "$device" up
        [ "$kind" = sit ] || accept_clients "$device"
    done
}

tunnel_down() {
    if [ -e "$STATE/devices" ]; then
        while read -r device; do
            there "$device" || continue
            if [ "$device" = sit0 ]; then ip link set sit0 down; else ip link del "$device"; fi
        done <"$STATE/devices"
        rm -f "$STATE/devices"
    fi
    if [ -e "$STATE/fou" ]; then
        ip fou del port "$GUE_PORT" || :
        ip fou del port "$GUE_PORT" -6 2>/dev/null || :
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
