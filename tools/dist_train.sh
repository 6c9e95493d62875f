#!/usr/bin/env bash
# Train on several ranks of this machine, or of several machines (run it on each with its NODE_RANK).
#   tools/dist_train.sh CONFIG NPROC [flags of tools/train.py]
# Environment: as in tools/on_ranks.sh.
set -euo pipefail

if (($# < 2)); then
    echo "usage: $0 CONFIG NPROC [flags of tools/train.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/on_ranks.sh" "$2" train.py "$1" --launcher pytorch "${@:3}"
