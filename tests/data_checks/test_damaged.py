"""Damaged COCO files: the check fails on none; it refuses what mmdet or its evaluation fails on."""

import contextlib
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmext.data_checks import coco
from mmext.data_checks.needs import Needs
from mmext.data_checks.report import Report
from mmext.errors import BadInputError
from tests.data_checks.damaged import damaged, sound, texts

CLASSES = ("tree", "car")
TRAIN, MASKS = Needs(), Needs(masks=True)
JUDGED = Needs(masks=True, by_coco=True, crowds=True, outlines=True)
BLIND = Needs(truth=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images of a sound file lie."""
    path = tmp_path_factory.mktemp("damaged")
    for one in sound()["images"]:
        Image.new("RGB", (one["width"], one["height"])).save(path / one["file_name"])
    return path


def check(folder: Path, content: bytes, needs: Needs) -> Report:
    """The check of a file as it stands in a run, without what catches errors around it."""
    file = folder / "all.json"
    file.write_bytes(content)
    report = Report("train", str(file))
    try:
        data = coco.read_coco(str(file), "mend it", annotations=needs.truth)
        coco.check_file(data, CLASSES, report, needs=needs)
        if not report.errors:
            coco.check_images(data, str(folder), report, cure="fetch it")
    except BadInputError as error:
        report.error("refused", str(error))
    return report


def dump(content: object) -> bytes:
    return json.dumps(content).encode()


def test_the_sound_file_is_sound(folder: Path) -> None:
    for needs in (TRAIN, MASKS, JUDGED, BLIND):
        report = check(folder, dump(sound()), needs)
        assert (report.errors, report.warnings, report.boxes) == ([], [], 3)


def test_the_check_fails_on_no_damaged_file(folder: Path) -> None:
    number = refused = 0
    for name, content in [*((name, dump(one)) for name, one in damaged()), *texts()]:
        report = check(folder, content, BLIND if number % 4 == 3 else JUDGED)
        number, refused = number + 1, refused + bool(report.errors)
        for sentence in [str(report), *report.errors, *report.warnings]:
            assert sentence.isprintable(), name
            assert len(sentence) < 1500, name
            sentence.encode()
    assert number > 1600
    assert refused > 800, "most of this damage matters"


def test_outlines_in_short_lead_to_the_same_findings(folder: Path) -> None:
    """Those of a file whose outlines are kept as they stand in it."""
    refused = 0
    for name, content in damaged():
        if "segmentation" not in name:
            continue
        text = dump(content)
        short, whole = check(folder, text, JUDGED), Report("train", str(folder / "all.json"))
        coco.check_file(json.loads(text), CLASSES, whole, needs=JUDGED)
        if not whole.errors:
            coco.check_images(json.loads(text), str(folder), whole, cure="fetch it")
        assert short == whole, name
        refused += bool(short.errors)
    assert refused > 100


def test_outlines_take_no_place(folder: Path) -> None:
    def kept(**options: bool) -> int:
        tracemalloc.start()
        found = coco.read_coco(str(folder / "large.json"), "", **options)
        number = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(found["annotations"]) == 3
        return number

    content = sound()
    for one in content["annotations"]:
        one["segmentation"] = [[index + 0.5 for index in range(10_000)]]
    (folder / "large.json").write_bytes(dump(content))
    assert kept() < 20_000, "30,000 numbers take a megabyte"
    assert kept(outlines=False) < 20_000


@pytest.mark.parametrize(
    ("name", "content"), texts(), ids=lambda one: one if isinstance(one, str) else ""
)
def test_what_pycocotools_cannot_read_is_refused(folder: Path, name: str, content: bytes) -> None:
    assert len(check(folder, content, TRAIN).errors) == 1


class Host:
    """mmdet's own loading, and COCO's evaluation by mmdet's metric, of a file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, *, with_mask: bool) -> int:
        """How many objects it has to learn from; raises what mmdet raises."""
        from mmcv.transforms import LoadImageFromFile
        from mmdet.datasets import CocoDataset
        from mmdet.datasets.transforms import LoadAnnotations

        dataset = CocoDataset(
            ann_file=str(self.folder / "all.json"),
            data_prefix=dict(img=str(self.folder)),
            metainfo=dict(classes=CLASSES),
            serialize_data=False,
            pipeline=[LoadImageFromFile(), LoadAnnotations(with_mask=with_mask, with_bbox=True)],
        )
        samples = [dataset[index] for index in range(len(dataset))]
        for sample in samples:
            boxes, labels = sample["gt_bboxes"].tensor, sample["gt_bboxes_labels"]
            assert bool(torch.isfinite(boxes).all())
            assert all(0 <= label < len(CLASSES) for label in labels)
            height, width = sample["img_shape"]
            assert (sample["height"], sample["width"]) == (height, width)
        return sum(int((~sample["gt_ignore_flags"]).sum()) for sample in samples)

    def evaluate(self, images: list[dict]) -> None:
        """Evaluate one detection of each class in each image, as an epoch ends."""
        from mmdet.evaluation import CocoMetric
        from pycocotools import mask

        metric = CocoMetric(ann_file=str(self.folder / "all.json"), metric=["bbox", "segm"])
        metric.dataset_meta = dict(classes=CLASSES)
        pixels = np.zeros((8, 10), np.uint8, order="F")
        pixels[1:5, 1:5] = 1
        for image in images:
            found = dict(
                bboxes=torch.tensor([[1.0, 1, 5, 5]] * 2),
                scores=torch.tensor([0.9, 0.8]),
                labels=torch.tensor([0, 1]),
                masks=[mask.encode(pixels)] * 2,
            )
            metric.process({}, [dict(img_id=image["id"], ori_shape=(8, 10), pred_instances=found)])
        metric.compute_metrics(metric.results)


@pytest.mark.parametrize("step", [41, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize(
    ("what", "needs"),
    [("boxes", TRAIN), ("masks", MASKS), ("evaluation", JUDGED)],
    ids=lambda one: str(one)[:5],
)
def test_what_the_host_fails_on_is_refused(
    folder: Path, what: str, needs: Needs, step: int
) -> None:
    """Damaged files that the check accepts, through mmdet: it must be able to work with each."""
    host = Host(folder)
    unseen = []
    for name, content in list(damaged())[::step]:
        report = check(folder, dump(content), needs)
        if report.errors:
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                if what == "evaluation":
                    host.evaluate(content["images"])
                elif not host.load(with_mask=what == "masks"):
                    unseen.append(f"{name}: no object")
        except Exception as error:
            unseen.append(f"{name}: {type(error).__name__}: {error}")
    assert unseen == []
