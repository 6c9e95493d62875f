"""save_best="auto" means the metric that a task is judged by, and ends no run."""

from pathlib import Path

import pytest

from mmext.compat.best import headline
from tests.fresh_process import run
from tests.test_compat import TOY


@pytest.mark.parametrize(
    ("metrics", "wanted"),
    [
        (["aAcc", "mIoU", "mAcc"], ("mIoU", "greater")),
        (["coco/bbox_mAP", "coco/bbox_mAP_50", "coco/segm_mAP"], ("coco/bbox_mAP", "greater")),
        (
            ["coco/tree_precision", "coco/bush_precision", "coco/bbox_mAP"],
            ("coco/bbox_mAP", "greater"),
        ),
        (["acc/top1", "acc/top5", "acc/mean1"], ("acc/top1", "greater")),
        (["coco/AR@100", "coco/AR@300"], ("coco/AR@100", "greater")),
        (["coco_panoptic/PQ", "coco_panoptic/SQ"], ("coco_panoptic/PQ", "greater")),
        (["pascal_voc/mAP", "pascal_voc/AP50"], ("pascal_voc/mAP", "greater")),
        (["mAP/overall", "mAP/car"], ("mAP/overall", "greater")),
        (["NME"], ("NME", "less")),
        (["abs_rel", "rmse"], ("abs_rel", "less")),
        (["val_loss"], ("val_loss", "less")),
        (["my_accuracy_of_trees"], ("my_accuracy_of_trees", "greater")),
        (["seconds"], None),
        ([], None),
    ],
)
def test_the_headline_is_found(metrics: list[str], wanted: tuple[str, str] | None) -> None:
    from mmengine.hooks import CheckpointHook

    known = (CheckpointHook._default_greater_keys, CheckpointHook._default_less_keys)
    assert headline(dict.fromkeys(metrics, 0.5), *known) == wanted


TRAIN = """
import mmext, toy
NAMES = {names}
values = iter([[5, 0.3], [1, 0.6], [9, 0.4]])  # of three validations
toy.Half.compute_metrics = lambda self, results: dict(zip(NAMES, next(values)))
runner = toy.runner("wd", 3)
for hook in runner.hooks:
    if type(hook).__name__ == "CheckpointHook":
        hook.__init__(save_best="auto")
runner.train()
"""


def best(folder: Path, names: list[str], **env: str) -> list[str]:
    (folder / "toy.py").write_text(TOY)
    run(TRAIN.format(names=names), cwd=folder, **env)
    return sorted(path.name for path in (folder / "wd").glob("best_*"))


def test_a_run_keeps_the_best_of_its_headline(tmp_path: Path) -> None:
    assert best(tmp_path, ["aAcc", "mIoU"]) == ["best_toy_mIoU_epoch_2.pth"]


def test_a_metric_that_cannot_be_ranked_ends_no_run(tmp_path: Path) -> None:
    assert best(tmp_path, ["seconds"]) == []
    assert (tmp_path / "wd" / "epoch_3.pth").exists()


def test_without_the_repair_the_first_metric_decides(tmp_path: Path) -> None:
    assert best(tmp_path, ["aAcc", "mIoU"], MMEXT_COMPAT="save_best_auto") == [
        "best_toy_aAcc_epoch_3.pth"
    ]
