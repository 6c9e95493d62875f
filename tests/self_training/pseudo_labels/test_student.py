"""The maker of the student's config: what it writes, and what it refuses."""

import json

import pytest
from mmengine.config import Config
from PIL import Image

from mmext.errors import BadInputError
from mmext.self_training.pseudo_labels import student
from tests.contract.parts import ROOT

GFL = ROOT / "configs/detection/gfl/gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"


def trees():
    return Config.fromfile(GFL)


def test_it_writes_what_the_shipped_student_has_but_for_its_few_labels(tmp_path):
    cfg, out = trees(), tmp_path / "deep" / "student.py"
    notes = student.write(
        cfg,
        str(GFL),
        out,
        pseudo=tmp_path / "pseudo.json",
        images=tmp_path,
        metainfo=dict(classes=("tree",), palette=[(255, 209, 0)]),
    )
    made = Config.fromfile(out)
    assert made.model.type == "mmext.SelfTrainingWrapper"
    assert made.model.model == cfg.model
    human, pseudo = made.train_dataloader.dataset.datasets
    assert human == cfg.train_dataloader.dataset
    assert pseudo.pipeline[:-1] == human.pipeline
    assert pseudo.pipeline[-1] == dict(type="mmext.MarkSource", source="pseudo")
    assert pseudo.filter_cfg == dict(filter_empty_gt=False)
    assert made.train_dataloader.sampler == dict(
        type="mmext.RatioBatchSampler", ratio=(1, 1), batch_size=4, by_epoch=False
    )
    assert made.custom_imports["imports"] == ["mmext"]
    for key in ("optim_wrapper", "param_scheduler", "test_dataloader", "train_cfg"):
        assert made[key] == cfg[key]
    assert notes == [
        "batches hold 2 pictures of each source",
        "paramwise_cfg holds for the same parameters (backbone)",
    ]


def test_epochs_stay_epochs(tmp_path):
    cfg = trees()
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12)
    notes = student.write(
        cfg,
        str(GFL),
        tmp_path / "s.py",
        pseudo=tmp_path,
        images=tmp_path,
        metainfo=dict(classes=()),
    )
    assert Config.fromfile(tmp_path / "s.py").train_dataloader.sampler.by_epoch
    assert any("an epoch keeps its number of iterations" in note for note in notes)


def changed(**changes):
    cfg = trees()
    cfg.merge_from_dict(changes)
    return cfg


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_dataloader.batch_size": 5},
            "expected an even one, half of each source; take 4 or 6",
        ),
        ({"train_dataloader.batch_size": 1}, "take 2"),
        ({"train_dataloader.sampler": dict(type="ClassAwareSampler")}, "got ClassAwareSampler"),
        ({"train_dataloader.dataset.type": "MultiImageMixDataset"}, "which mixes them"),
        ({"optim_wrapper.constructor": "LearningRateDecay"}, "got LearningRateDecay, which may"),
        ({"custom_hooks": [dict(type="mmdet.PipelineSwitchHook")]}, "got PipelineSwitchHook"),
        ({"model.type": "mmext.SelfTrainingWrapper"}, "got a student's"),
        (
            {"model.data_preprocessor.type": "MultiBranchDataPreprocessor"},
            "got GFL with a teacher of its own",
        ),
    ],
)
def test_what_it_cannot_carry_over_is_refused(change, message):
    student.check(trees(), str(GFL))
    with pytest.raises(BadInputError, match=message) as caught:
        student.check(changed(**change), str(GFL))
    assert str(caught.value).startswith(f"{GFL}: ")


def test_pseudo_labels_of_pictures_of_another_size_are_refused(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    pseudo = dict(images=[dict(file_name="a.png", width=8, height=6)])
    student.check_sizes(pseudo, tmp_path, tmp_path / "pseudo.json")
    pseudo["images"][0]["width"] = 9
    with pytest.raises(BadInputError, match=r"expected a\.png of 9 x 6 pixels, got 8 x 6"):
        student.check_sizes(pseudo, tmp_path, tmp_path / "pseudo.json")
    pseudo["images"][0]["file_name"] = "b.png"
    with pytest.raises(BadInputError, match="give the folder that was labelled"):
        student.check_sizes(pseudo, tmp_path, tmp_path / "pseudo.json")


def test_a_maps_set_has_the_pipeline_without_the_shift_of_labels(tmp_path):
    cfg = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    pipeline=[
                        dict(type="LoadImageFromFile"),
                        dict(type="LoadAnnotations", reduce_zero_label=True),
                        dict(type="RandomCrop", crop_size=(64, 64)),
                        dict(type="PackSegInputs"),
                    ]
                )
            )
        )
    )
    text = student._map_set(cfg, tmp_path / "out" / "pseudo.json", tmp_path, dict(classes=("a",)))
    made = eval(text)
    assert made["pipeline"][1] == dict(type="LoadAnnotations")
    assert made["pipeline"][2] == dict(type="RandomCrop", crop_size=(64, 64))
    assert made["pipeline"][-1] == dict(type="mmext.MarkSource", source="pseudo")
    assert made["reduce_zero_label"] is False
    assert made["data_prefix"]["seg_map_path"].endswith("out/maps")
    assert json.dumps(made["metainfo"]) == '{"classes": ["a"]}'
