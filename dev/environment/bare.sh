#!/usr/bin/env bash
# make test-bare: a bare Debian with nothing but what the README names, and in it, as an ordinary user, the README's
# own commands. The Dockerfile's CPU target is the same steps.
#
# Needs root, debootstrap (installed if it is missing) and 15 GB below $TMPDIR; takes what the network needs from
# this machine: name server, certificates, pip's configuration. Mounts live in a namespace of their own and end with
# it, however that happens; the tree is removed at the end (KEEP=1 leaves it).
set -euo pipefail

SUITE=${SUITE:-trixie}
PACKAGES="make python3 python3-venv"
COMMANDS=('make demo' 'make test ARGS="-k registry"')

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { echo "== $*: $((SECONDS / 60)) min $((SECONDS % 60)) s since the start"; }

outside() {  # make the tree, go on in namespaces of its own, and clear up
    if [ "$(id -u)" != 0 ]; then
        echo "make test-bare expects root, for chroot and mounts, and got $(id -un); run sudo make test-bare" >&2
        exit 1
    fi
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap
    tree=$(mktemp -d "${TMPDIR:-/var/tmp}/mmext-bare.XXXXXX")
    chmod 755 "$tree"
    trap clear_up EXIT
    trap 'exit 130' INT TERM HUP
    unshare --mount --pid --fork --kill-child bash "${BASH_SOURCE[0]}" --inside "$tree" &
    child=$!
    wait "$child"
}

clear_up() {  # whatever still runs in there ends with its namespace, and so do the mounts
    if [ -n "${child:-}" ] && kill -KILL "$child" 2>/dev/null; then wait "$child" || true; fi
    [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$tree" "$tree.log"
}

mirror() {  # where this machine's own Debian comes from; elsewhere nothing, and debootstrap knows one
    # shellcheck disable=SC2016  # apt fills it in
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/$' || true
}

furnish() {  # what a person would have: network, an account, the checkout
    cp /etc/resolv.conf /etc/hosts "$tree/etc/"
    mkdir -p "$tree/etc/ssl/certs" "$tree/etc/xdg"
    for place in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip; do
        [ ! -e "$place" ] || cp -rL "$place" "$tree$place"
    done
    mount -t proc proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/dev/shm"
    chroot "$tree" useradd --create-home --uid 10001 mmext
    mkdir "$tree/home/mmext/mmext"
    git -C "$here" ls-files -z --cached --others --exclude-standard |
        tar -C "$here" --null --ignore-failed-read -T - -c | tar -C "$tree/home/mmext/mmext" -x
    chroot "$tree" chown -R mmext:mmext /home/mmext
}

as_user() {  # run a command in the tree, with no more of this environment than how the network is reached
    local kept=()
    while IFS= read -r line; do kept+=("$line"); done < <(env | grep -iE '^(PIP_|UV_|SSL_CERT|[a-z]+_proxy=)' || true)
    chroot --userspec=10001:10001 "$tree" env -i "${kept[@]}" HOME=/home/mmext USER=mmext LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin bash -c "cd ~/mmext && $1"
}

inside() {  # in namespaces of its own
    tree=$1
    mount --make-rprivate /
    # shellcheck disable=SC2046  # one word, or none
    debootstrap --variant=minbase --include="${PACKAGES// /,}" "$SUITE" "$tree" $(mirror) >"$tree.log" 2>&1 || {
        tail -n 20 "$tree.log" >&2
        exit 1
    }
    rm -f "$tree.log"
    furnish
    say "Debian $SUITE with $PACKAGES"
    for command in "${COMMANDS[@]}"; do
        as_user "$command"
        say "$command"
    done
    du -sh "$tree/home/mmext/mmext/.venv" "$tree/home/mmext/.cache" | sed "s|$tree||"
}

if [ "${1:-}" = --inside ]; then inside "$2"; else outside; fi
