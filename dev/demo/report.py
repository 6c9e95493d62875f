"""Pictures and numbers of a finished run: truth beside prediction, loss and AP curves, a summary.

Reads    WORK_DIR/<run>/vis_data/scalars.json   losses and AP while training (the newest run)
         WORK_DIR/<split>/predictions.pkl       of tools/test.py --work-dir WORK_DIR/<split>
                                                --out ...
         WORK_DIR/<split>/<config>.py           the configuration of that test: where its ground
                                                truth lies
         WORK_DIR/<split>/<run>/<run>.json      AP as measured by that test (the newest one)
Writes   WORK_DIR/report/predictions.png, curves.png, summary.json

Run ``python -m dev.demo.report WORK_DIR``. Boxes are drawn from the score that balances precision
and recall on validation, or from ``--score`` on.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from mmengine import Config
from mmengine.fileio import load
from PIL import Image
from prettytable import PrettyTable, TableStyle

from dev.demo.expected import MEASURE, recorded, sentence
from dev.demo.threshold import balanced_score

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

SPLITS = {"val": "validation", "test": "unseen sites"}
METRICS = {"AP": "coco/bbox_mAP", "AP50": "coco/bbox_mAP_50", "AP75": "coco/bbox_mAP_75"}
LOSSES = {
    "loss": "total",
    "loss_cls": "class (QFL)",
    "loss_bbox": "box (GIoU)",
    "loss_dfl": "sides (DFL)",
}
PLACES = {"2019_YELL": "Yellowstone", "OSBS": "OSBS, Florida", "SOAP": "SOAP, California"}
TRUTH, PREDICTION = "#35e0ff", "#ffb000"

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""


class ReportError(RuntimeError):
    """Something that the report needs is missing; the message is one sentence for the reader."""


@dataclass(frozen=True)
class Sample:
    """One image with what people drew and what the model predicts."""

    split: str
    path: Path
    truth: list[Box]
    predicted: list[Box]

    @property
    def title(self) -> str:
        """The place, and how the model knows it."""
        places = [place for start, place in PLACES.items() if self.path.name.startswith(start)]
        return (
            f"{places[0] if places else self.path.stem}\n"
            f"({SPLITS[self.split].removesuffix(' sites')})"
        )


def newest(folder: Path, pattern: str, made_by: str) -> Path:
    """The last match by name; runs are named by their time.

    Raises:
        ReportError: nothing matches.
    """
    found = sorted(folder.glob(pattern))
    if not found:
        raise ReportError(
            f"{folder}: expected {pattern}, got nothing of that name; run {made_by} first"
        )
    return found[-1]


def read_test(work_dir: Path, split: str) -> tuple[list[dict[str, Any]], Path]:
    """The predictions of one split's test, and the COCO file that it was compared with."""
    folder = work_dir / split
    predictions = load(
        newest(folder, "predictions.pkl", f"tools/test.py --work-dir {folder} --out")
    )
    config = Config.fromfile(newest(folder, "*.py", "tools/test.py"), import_custom_modules=False)
    dataset = config.test_dataloader.dataset
    return predictions, Path(dataset.data_root) / dataset.ann_file


def read_samples(work_dir: Path, split: str, score: float) -> list[Sample]:
    """The images of one split with their boxes, in the order of their names."""
    predictions, coco_file = read_test(work_dir, split)
    coco = json.loads(coco_file.read_text())
    truth: dict[int, list[Box]] = {image["id"]: [] for image in coco["images"]}
    for box in coco["annotations"]:
        if not box["iscrowd"]:
            truth[box["image_id"]].append(tuple(box["bbox"]))
    samples = [
        Sample(
            split,
            Path(one["img_path"]),
            truth[one["img_id"]],
            confident(one["pred_instances"], score),
        )
        for one in predictions
    ]
    return sorted(samples, key=lambda sample: sample.path.name)


def confident(predicted: dict[str, Any], score: float) -> list[Box]:
    """Boxes of at least this score, as left, top, width, height."""
    boxes = predicted["bboxes"][predicted["scores"] >= score].tolist()
    return [(left, top, right - left, bottom - top) for left, top, right, bottom in boxes]


def spread(samples: list[Sample], number: int) -> list[Sample]:
    """So many samples at equal steps through the list: a choice that looks at no result."""
    return [samples[(2 * i + 1) * len(samples) // (2 * number)] for i in range(number)]


def draw_boxes(axes: Axes, image: Image.Image, boxes: list[Box], colour: str) -> None:
    """Show the image, a little darker so that thin boxes stand out, with its boxes."""
    axes.imshow(image, alpha=0.85)
    axes.set_facecolor("black")
    for left, top, width, height in boxes:
        axes.add_patch(
            Rectangle((left, top), width, height, fill=False, edgecolor=colour, linewidth=1.1)
        )
    axes.set(xticks=[], yticks=[], xlim=(0, image.width), ylim=(image.height, 0))


def draw_samples(samples: list[Sample], path: Path, score: float, width_px: int) -> None:
    """Draw truth above prediction, one column an image, into a PNG or JPEG of the given width."""
    images = [Image.open(sample.path) for sample in samples]
    shapes = [image.width / image.height for image in images]
    width, dpi = 12.0, width_px / 12.0
    height = 2 * (width - 0.5) / sum(shapes) + 0.6
    figure, rows = plt.subplots(
        2, len(samples), figsize=(width, height), dpi=dpi, width_ratios=shapes, squeeze=False
    )
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    for (above, below), sample, image in zip(rows.T, samples, images, strict=True):
        above.set_title(sample.title, fontsize=12)
        draw_boxes(above, image, sample.truth, TRUTH)
        draw_boxes(below, image, sample.predicted, PREDICTION)
    rows[0, 0].set_ylabel("drawn by people", fontsize=12)
    rows[1, 0].set_ylabel(f"predicted, score ≥ {score:.2g}", fontsize=12)
    # Photographs of leaves compress badly: at this quality four of them stay well under 300 KB.
    jpeg = {"quality": 82} if path.suffix in (".jpg", ".jpeg") else None
    figure.savefig(path, pil_kwargs=jpeg)
    plt.close(figure)


def curve(scalars: list[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    """Iterations and values of a number; empty if the run did not log it, as AP without validation.

    mmengine logs AP with the number of the epoch, always 0 when a run counts iterations. The lines
    are in order, so the iteration is the highest one logged so far.
    """
    iterations, values = [], []
    iteration = 0.0
    for line in scalars:
        iteration = max(iteration, line["step"])
        if key in line:
            iterations.append(iteration)
            values.append(line[key])
    return iterations, values


def draw_curves(scalars: list[dict[str, float]], path: Path) -> None:
    """Draw the losses of training and AP on validation over the iterations."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), dpi=120, layout="constrained")
    for key, label in LOSSES.items():
        steps, values = curve(scalars, key)
        left.plot(steps, values, label=label, linewidth=2.5 if key == "loss" else 1.5)
    left.set(title="Training loss", xlabel="iteration", ylim=(0, None))
    for label, key in METRICS.items():
        steps, values = curve(scalars, key)
        right.plot(steps, values, label=label, marker="o", linewidth=2)
        if values:
            last = (steps[-1], values[-1])
            right.annotate(
                f"{last[1]:.3f}", last, xytext=(6, 0), textcoords="offset points", va="center"
            )
    right.set(title="Average precision on validation", xlabel="iteration", ylim=(0, None))
    right.margins(x=0.1)
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


def read_metrics(
    work_dir: Path, split: str, metrics: Mapping[str, str] = METRICS
) -> dict[str, float]:
    """What the newest test of one split measured, by heading."""
    path = newest(work_dir / split, "*/*.json", "tools/test.py")
    measured = json.loads(path.read_text())
    if missing := [key for key in metrics.values() if key not in measured]:
        raise ReportError(
            f"{path}: expected {missing[0]}, got {sorted(measured)}; a model that finds nothing "
            "has no AP, so train it for longer first"
        )
    return {name: measured[key] for name, key in metrics.items()}


def write_report(work_dir: Path, score: float | None, readme_picture: Path | None) -> str:
    """Write all files of the report and return its closing lines.

    Args:
        work_dir: of the run.
        score: from which on boxes are drawn; None for the one that balances precision and recall
            on validation.
        readme_picture: a small picture to draw as well.

    Raises:
        ReportError: a file of the run is missing.
    """
    scalars = newest(
        work_dir, "*/vis_data/scalars.json", f"tools/train.py --work-dir {work_dir}"
    ).read_text()
    if score is None:
        predictions, coco_file = read_test(work_dir, "val")
        score = balanced_score(str(coco_file), predictions)
    samples = {split: read_samples(work_dir, split, score) for split in SPLITS}
    summary = {split: read_metrics(work_dir, split) for split in SPLITS}
    folder = work_dir / "report"
    folder.mkdir(exist_ok=True)
    draw_curves([json.loads(line) for line in scalars.splitlines()], folder / "curves.png")
    draw_samples(
        spread(samples["val"], 3) + samples["test"], folder / "predictions.png", score, 1800
    )
    if readme_picture is not None:
        draw_samples(spread(samples["val"], 2) + samples["test"], readme_picture, score, 1200)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    table = PrettyTable(["", *METRICS])
    table.set_style(TableStyle.PLAIN_COLUMNS)
    for split, words in SPLITS.items():
        table.add_row([words, *(f"{value:.3f}" for value in summary[split].values())])
    verdict = sentence(summary["val"][MEASURE], recorded())
    return f"{table}\n{verdict}\npictures: {folder / 'predictions.png'} and {folder / 'curves.png'}"


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work_dir", type=Path, help="folder of the run")
    parser.add_argument("--score", type=float, help="draw boxes from this score on")
    parser.add_argument(
        "--readme-picture", type=Path, help="also draw a small picture, .jpg or .png"
    )
    args = parser.parse_args(argv)
    try:
        print(write_report(args.work_dir, args.score, args.readme_picture))
    except ReportError as error:
        sys.exit(f"error: {error}.")


if __name__ == "__main__":
    main()
