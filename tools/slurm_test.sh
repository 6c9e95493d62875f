#!/usr/bin/env bash
# Test under slurm.
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [flags of tools/test.py]
# Environment: as in tools/under_slurm.sh.
set -euo pipefail

if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [flags of tools/test.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/under_slurm.sh" "$1" "$2" test.py "$3" "$4" --launcher slurm "${@:5}"
