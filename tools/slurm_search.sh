#!/usr/bin/env bash
# Search under slurm: an array of workers on one study, in a folder that all machines see.
#   tools/slurm_search.sh PARTITION JOB_NAME CONFIG WORK_DIR WORKERS [flags of tools/search.py]
# More workers, or the same ones after a time limit: the same command again.
# Environment: GPUS_PER_WORKER (default 1) CPUS_PER_TASK (5) SBATCH_ARGS, and PYTHON.
set -euo pipefail

if (($# < 5)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR WORKERS [flags of tools/search.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
work_dir=$4
workers=$5
shift 5
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
read -r -a sbatch_args <<<"${SBATCH_ARGS:-}"

mkdir -p "$work_dir"
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# slurm sends SIGTERM before it ends a job: a worker then gives its trial back.
exec sbatch \
    --partition "$partition" \
    --job-name "$job_name" \
    --array "1-$workers" \
    --gres "gpu:${GPUS_PER_WORKER:-1}" \
    --ntasks 1 \
    --cpus-per-task "${CPUS_PER_TASK:-5}" \
    --output "$work_dir/slurm_%A_%a.log" \
    ${sbatch_args[@]+"${sbatch_args[@]}"} \
    --wrap "exec $(printf '%q ' "${PYTHON:-python}" -u "$tools/search.py" "$config" \
        --work-dir "$work_dir" --resume --ranks "${GPUS_PER_WORKER:-1}" "$@")"
