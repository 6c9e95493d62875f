#!/usr/bin/env bash
# Test on several ranks of this machine, or of several machines (run it on each with its NODE_RANK).
#   tools/dist_test.sh CONFIG CHECKPOINT NPROC [flags of tools/test.py]
# Environment: as in tools/on_ranks.sh.
set -euo pipefail

if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT NPROC [flags of tools/test.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/on_ranks.sh" "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
