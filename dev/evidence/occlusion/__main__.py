"""Tracking through occlusions of real pixels: the gates against the same tracker without them.

    python -m dev.evidence.occlusion             as stated; writes occlusion.json and two pictures
    python -m dev.evidence.occlusion --develop   other scenes and pictures, only printed

Question  does it save switches to read, write, find again and start tracks by appearance only as
          far as a person is seen?
Scenes    1,600, each of two cut-outs of one class over a photograph, half of them cross, half turn
          while one is hidden by 60 % or more; scenes.py says how they are made
Arms      IoU with memory; constant velocity; re-ID without gates; all gates; one gate alone; and
          once all gates in one joint assignment. All see the same detections, all but the last
          match in passes, and the threshold of finding again, .3, was chosen for those with and
          without gates alike on other scenes
Decides   switches, all gates against no gates: reduction, bootstrap over scenes, paired by scene
Beside    IDF1, and switches among clearly seen detections alone: the gates leave hidden ones
          without an identity, which by itself makes switches rarer
Shows     whether the rule works on features that really contain the occluder; nothing about people

Two minutes of a processor for 400 scenes. A run that was broken off goes on where it was.
"""

import argparse
import sys
from typing import Any

import numpy as np
import torch

from dev.evidence import pages, provenance
from dev.evidence.occlusion import report, scenes, study, trackers
from dev.evidence.occlusion.features import Appearance
from dev.evidence.results import RESULTS, write_json
from dev.evidence.study import ROOT, StudyError
from mmext.prepare import mobilenet_v2

PUBLISHED = ROOT / RESULTS / "occlusion.json"
TRIED = (0.25, 0.3, 0.4, 0.5)


def ready() -> tuple[Appearance, dict[str, Any]]:
    """The net with its centre, and the pictures."""
    torch.set_num_threads(1)
    mobilenet_v2.prepare(ROOT / mobilenet_v2.OUT, ROOT / "data/packages")
    net, pictures = Appearance(), scenes.read_pictures(ROOT / "data/packages")
    study.centred(net, pictures["dev"])
    return net, pictures


def develop() -> None:
    """Switches of several thresholds on development scenes."""
    net, pictures = ready()
    arms = {
        f"{name}, r {r}": trackers.ARMS[name] | dict(lost_score=r)
        for r in TRIED
        for name in (trackers.WITHOUT, trackers.OURS)
    }
    numbers = range(study.DEVELOPED)
    for name, one in study.play(net, pictures["dev"], study.DEVELOPMENT, numbers, arms).items():
        print(f"{name}: {sum(row[0] for row in one)} switches")


def publish() -> None:
    """Run all as it is stated, once.

    Raises:
        StudyError: there is a result, or what is stated is not committed.
    """
    if PUBLISHED.exists():
        raise StudyError(f"expected no {PUBLISHED}, got one; a study runs once, as it is stated")
    commit = provenance.committed()
    net, pictures = ready()
    parts = list(study.chunks(study.CHUNKS, net, pictures["test"]))
    found = dict(
        command="make evidence-occlusion",
        commit=commit,
        statement=study.statement(),
        **study.summarise(study.joined(parts)),
        seconds=round(sum(one["seconds"] for one in parts)),
        machine=provenance.read_machine(),
    )
    write_json(PUBLISHED, found)
    report.draw(found, PUBLISHED.with_suffix(".png"))
    picture(net, pictures["dev"])
    pages.rewrite()
    print(report.known(found))


def picture(net: Appearance, pictures: Any) -> None:
    """Draw a scene that ends in a switch without gates: these above, all gates below."""
    two = {name: trackers.ARMS[name] for name in (trackers.WITHOUT, trackers.OURS)}
    for number in range(study.DEVELOPED):
        frames = list(scenes.scene(pictures, study.DEVELOPMENT, number))
        features = net.of(frames)
        told = [trackers.identities(frames, features, **one) for one in two.values()]
        if [ends_as_it_began(frames, one) for one in told] == [False, True]:
            report.two_strips(frames, told, PUBLISHED.with_name("occlusion_scene.jpg"))
            return


def ends_as_it_began(frames: list[scenes.Frame], told: list[np.ndarray]) -> bool:
    """Whether both objects have the identities of the first frame in the last one."""
    first, last = (told[end][np.argsort(frames[end].people)] for end in (0, -1))
    return bool(np.array_equal(first, last))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--develop", action="store_true", help="other scenes; nothing is written")
    args = parser.parse_args(argv)
    try:
        develop() if args.develop else publish()
    except StudyError as error:
        sys.exit(f"error: {error}.")


if __name__ == "__main__":
    main()
