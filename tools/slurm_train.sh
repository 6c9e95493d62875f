#!/usr/bin/env bash
# Train under slurm.
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags of tools/train.py]
# Environment: as in tools/under_slurm.sh.
set -euo pipefail

if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [flags of tools/train.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/under_slurm.sh" "$1" "$2" train.py "$3" --work-dir "$4" --launcher slurm "${@:5}"
