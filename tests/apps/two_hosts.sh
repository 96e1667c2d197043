#!/bin/sh
# Two pretend hosts on one machine: network namespaces with names and addresses of their own on a bridge that leads nowhere.
# SPDX-License-Identifier: Apache-2.0
#
#   two_hosts.sh up               make h1 and h2, 10.77.0.1 and 10.77.0.2; needs root and iproute2
#   two_hosts.sh mpirun ARGS...   mpirun on h1, which reaches h2
#   two_hosts.sh unplug HOST      pull the host's cable
#   two_hosts.sh down             end what still runs there, delete them
#
# TWO_HOSTS is a folder of the caller's; its last part tells several pairs of hosts apart.
set -eu
self=$(readlink -f "$0")
prefix=strata-$(basename "$TWO_HOSTS")-
network=10.77.0

on() {
    host=$1
    shift
    # shellcheck disable=SC2016 # expanded over there
    exec ip netns exec "$prefix$host" unshare --uts --mount sh -c \
        'hostname "$1"; mount --bind "$2" /etc/hosts; shift 2; exec "$@"' sh "$host" "$TWO_HOSTS/hosts" "$@"
}

case $1 in
up)
    printf '127.0.0.1 localhost\n%s.1 h1\n%s.2 h2\n' $network $network > "$TWO_HOSTS/hosts"
    ip netns add "${prefix}bridge"
    ip -n "${prefix}bridge" link add bridge type bridge
    ip -n "${prefix}bridge" link set bridge up
    for i in 1 2; do
        ip netns add "${prefix}h$i"
        # both ends are made inside, so that the machine's own network is not touched
        ip -n "${prefix}h$i" link add eth0 type veth peer name "port$i" netns "${prefix}bridge"
        ip -n "${prefix}bridge" link set "port$i" master bridge up
        ip -n "${prefix}h$i" addr add $network.$i/24 dev eth0
        ip -n "${prefix}h$i" link set lo up
        ip -n "${prefix}h$i" link set eth0 up
        # what was sent is given up after seconds instead of a quarter of an hour
        ip netns exec "${prefix}h$i" sh -c 'echo 3 > /proc/sys/net/ipv4/tcp_retries2'
    done
    ;;
rsh) # in place of ssh: options, host, words for a shell
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    host=$(awk -v host="$1" '$1 == host || $2 == host { print $2 }' "$TWO_HOSTS/hosts")
    shift
    on "$host" sh -c "$*" < /dev/null
    ;;
mpirun)
    shift
    on h1 "$MPIRUN" --mca plm rsh --mca plm_rsh_agent "env TWO_HOSTS=$TWO_HOSTS $self rsh" --host h1:2,h2:2 \
        --mca oob_tcp_if_include $network.0/24 --mca btl_tcp_if_include $network.0/24 \
        --mca pml ob1 --mca btl self,vader,tcp "$@"
    ;;
unplug) ip -n "$prefix$2" link set eth0 down ;;
down)
    for name in bridge h1 h2; do
        for pid in $(ip netns pids "$prefix$name" 2> /dev/null); do kill -9 "$pid" 2> /dev/null || true; done
        ip netns del "$prefix$name" 2> /dev/null || true
    done
    ;;
esac
