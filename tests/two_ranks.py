"""Two gloo ranks for a whole session: to start a pair costs some ten seconds of imports each time.

The fixture ``two_ranks`` (tests/conftest.py) runs a function of a test module in both::

    # gradients(rank, kind) in each rank, in a process group
    first, second = two_ranks(gradients, kind)
"""

import io
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# seconds that a rank may take; a rank that waits for one that has failed takes for ever
TIMEOUT = 300


class TwoRanks:
    """A pair of processes, started when it is first asked for, and anew after a failure."""

    def __init__(self) -> None:
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """What ``function(rank, *args)`` returns in rank 0 and 1.

        It may return tensors, numbers, lists and dicts of them.

        Raises:
            AssertionError: it failed in a rank; the message is that rank's traceback.
        """
        if not self.processes:
            self._start()
        with tempfile.TemporaryDirectory() as folder:
            for pipe in self.pipes:
                pipe.send((folder, function, args))
            told: dict[int, tuple[bool, Any]] = {}
            while len(told) < 2:
                failed = any(not done for done, _ in told.values())
                # The other rank of one that has failed soon fails too, or waits for ever.
                waiting = [pipe for rank, pipe in enumerate(self.pipes) if rank not in told]
                ready = wait(waiting, 10 if failed else TIMEOUT)
                if not ready:
                    break
                for pipe in ready:
                    rank = self.pipes.index(pipe)  # type: ignore[arg-type]
                    told[rank] = self._receive(rank)
        if len(told) < 2 or not all(done for done, _ in told.values()):
            self.stop()
            reasons = [
                f"rank {rank}: {reason}" for rank, (done, reason) in told.items() if not done
            ]
            raise AssertionError("\n".join(reasons) or f"no end after {TIMEOUT} s in both ranks")
        return [torch.load(io.BytesIO(told[rank][1]), weights_only=True) for rank in (0, 1)]

    def _receive(self, rank: int) -> tuple[bool, Any]:
        try:
            return self.pipes[rank].recv()
        except EOFError:
            self.processes[rank].join(10)
            return False, f"the process ended with {self.processes[rank].exitcode}"

    def _start(self) -> None:
        context = mp.get_context("spawn")
        for rank in (0, 1):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(rank, theirs), daemon=True)
            process.start()
            theirs.close()  # so that its end is noticed
            self.pipes.append(ours)
            self.processes.append(process)

    def stop(self) -> None:
        """End both processes."""
        for process in self.processes:
            process.kill()
            process.join()
        self.pipes, self.processes = [], []


def serve(rank: int, pipe: Connection) -> None:
    """One rank: run what it is given, each time in a process group of its own."""
    torch.set_num_threads(1)
    while True:
        try:
            folder, function, args = pipe.recv()
        except EOFError:  # the tests have ended
            return
        try:
            pipe.send((True, in_group(rank, folder, function, args)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))


def in_group(rank: int, folder: str, function: Callable[..., Any], args: tuple) -> bytes:
    """The function's result as bytes: shared memory would have to outlive the test."""
    from tests import scopes  # here: it imports mmengine, without which a pair of ranks starts

    store = f"file://{folder}/store"
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=TIMEOUT)
    )
    try:
        buffer = io.BytesIO()
        with scopes.ended_with_the_test():
            torch.save(function(rank, *args), buffer)
            dist.barrier()
    finally:
        dist.destroy_process_group()
    return buffer.getvalue()
