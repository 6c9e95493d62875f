"""The report names, class by class, what the matrix has learnt."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmext.classification.residual_labels.losses import ResidualLabelLoss, UniformResidualLoss
from mmext.classification.residual_labels.report import ConfusionReportHook, strongest

CLASSES = ("ape", "bat", "cat")


def runner(model, tmp_path, classes=CLASSES):
    dataset = SimpleNamespace(metainfo=dict(classes=classes) if classes else {})
    return SimpleNamespace(
        model=model,
        train_dataloader=SimpleNamespace(dataset=dataset),
        log_dir=str(tmp_path),
        logger=logging.getLogger("report"),
    )


def learnt(classes, **cfg):
    loss = ResidualLabelLoss(classes, **cfg)
    with torch.no_grad():
        loss.residual_matrix[0, 2] = 5.0
        loss.residual_matrix[1, 0] = 1.0
        loss.residual_matrix[1, 1] = 99.0  # the diagonal counts for nothing
    return loss


def test_the_strongest_come_first_and_none_is_the_class_itself():
    matrix = learnt(3).residual_matrix
    found = strongest(matrix, CLASSES)
    assert found["ape"] == [("cat", 0.993), ("bat", 0.007)]
    assert found["bat"] == [("ape", 0.731), ("cat", 0.269)]
    assert len(strongest(matrix, CLASSES, topk=1)["ape"]) == 1


@pytest.mark.parametrize(
    ("update_on", "words"), [("all", "confused with"), ("error", "bear this label")]
)
def test_it_writes_log_and_json(update_on, words, tmp_path, caplog):
    model = nn.ModuleDict(dict(head=learnt(3, update_on=update_on)))
    with caplog.at_level(logging.INFO, "report"):
        ConfusionReportHook().after_train(runner(model, tmp_path))
    assert "ape: cat 0.993, bat 0.007" in caplog.text
    assert words in caplog.text
    found = json.loads((tmp_path / "residual_labels.json").read_text())
    assert found["head"]["classes"]["bat"] == [["ape", 0.731], ["cat", 0.269]]
    assert words in found["head"]["reading"]


@pytest.mark.parametrize(
    ("classes", "last"), [(CLASSES, "background"), ((), "class 3"), (CLASSES[:2], "class 3")]
)
def test_classes_without_a_name(classes, last, tmp_path):
    model = nn.ModuleDict(dict(head=learnt(4)))
    ConfusionReportHook().after_train(runner(model, tmp_path, classes))
    found = json.loads((tmp_path / "residual_labels.json").read_text())
    assert list(found["head"]["classes"])[-1] == last


def test_a_model_without_a_matrix_is_named(tmp_path):
    model = nn.ModuleDict(dict(head=UniformResidualLoss(3)))
    with pytest.raises(ValueError, match=r"needs a mmext.ResidualLabelLoss .* got none; add"):
        ConfusionReportHook().after_train(runner(model, tmp_path))
