#!/usr/bin/env bash
# One of these tools on several ranks of this machine, or of several machines (run it on each with its NODE_RANK).
#   tools/on_ranks.sh NPROC TOOL [arguments of the tool]
# Environment: NNODES NODE_RANK MASTER_ADDR PORT, and PYTHON for another interpreter. Without a PORT, one machine
# takes a free one, and several take the same one that follows from the command.
set -euo pipefail

if (($# < 2)); then
    echo "usage: $0 NPROC TOOL [arguments of the tool]" >&2
    exit 2
fi
nproc=$1
tool=$2
shift 2
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
if [[ -z ${PORT:-} && ${NNODES:-1} == 1 ]]; then
    meeting=(--standalone --local_addr 127.0.0.1)
else
    sum=$(cksum <<<"$*")
    meeting=(
        --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}"
        --master_port "${PORT:-$((20000 + ${sum%% *} % 12000))}"
    )
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" \
    --nproc_per_node "$nproc" \
    "$tools/$tool" "$@"
