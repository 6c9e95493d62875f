#!/usr/bin/env bash
# One of these tools under slurm, a rank a GPU.
#   tools/under_slurm.sh PARTITION JOB_NAME TOOL [arguments of the tool]
# Environment: GPUS (all, default 8) GPUS_PER_NODE (8) CPUS_PER_TASK (5) SRUN_ARGS, and PYTHON.
set -euo pipefail

if (($# < 3)); then
    echo "usage: $0 PARTITION JOB_NAME TOOL [arguments of the tool]" >&2
    exit 2
fi
partition=$1
job_name=$2
tool=$3
shift 3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -r -a srun_args <<<"${SRUN_ARGS:-}"

export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec srun \
    --partition "$partition" \
    --job-name "$job_name" \
    --gres "gpu:${GPUS_PER_NODE:-8}" \
    --ntasks "${GPUS:-8}" \
    --ntasks-per-node "${GPUS_PER_NODE:-8}" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit 1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$tools/$tool" "$@"
