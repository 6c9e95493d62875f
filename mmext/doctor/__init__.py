"""The environment, its troubles and cures: standard library alone, it runs where all is broken.

``mmext doctor``, ``python -m mmext.doctor`` and ``python tools/doctor.py`` look at all of it,
``make setup`` and ``import mmext`` ask the checks that concern them.

:mod:`~mmext.doctor.facts`           what a check works with, and what it finds
:mod:`~mmext.doctor.supported`       which Python, torch and torchvision
:mod:`~mmext.doctor.stack_checks`    what is installed, and whether it belongs together
:mod:`~mmext.doctor.host_checks`     what goes wrong between the hosts and their friends
:mod:`~mmext.doctor.machine_checks`  operators, compiler, devices, room
:mod:`~mmext.doctor.at_import`       the cheap ones of them
:mod:`~mmext.doctor.probe`           what can crash, tried in a process of its own
:mod:`~mmext.doctor.report`          all of them, as a table
"""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Examine the environment, print what was found, return the exit code: 1 for trouble."""
    from .report import main as report  # late, since import mmext passes here

    return report(argv)
