"""The configs of students: each has a teacher beside it, and differs from it in what it must."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[3]
STUDENTS = sorted(ROOT.glob("configs/*tion/pseudo_labels/student-*.py"))


def test_there_are_students_of_detectors_and_segmentors():
    assert {path.parts[-3] for path in STUDENTS} == {"detection", "segmentation"}


@pytest.mark.parametrize("path", STUDENTS, ids=lambda path: path.stem)
def test_a_student_is_its_teacher_with_another_source(path):
    student = Config.fromfile(path)
    labelled, unlabelled = student.train_dataloader.dataset.datasets
    files = f"{unlabelled.get('ann_file')} {unlabelled.data_prefix}"
    name = re.search(r"pseudo_labels/([^/]+)/(pseudo.json|maps)", files)[1]
    teacher = Config.fromfile(path.with_name(f"{name}.py"))
    assert student.model.model == teacher.model
    assert labelled == teacher.train_dataloader.dataset
    *pipeline, mark = unlabelled.pipeline
    assert pipeline == labelled.pipeline
    assert mark == dict(type="mmext.MarkSource", source="pseudo")
    assert student.train_dataloader.batch_size == 2 * teacher.train_dataloader.batch_size
    for key in ("param_scheduler", "optim_wrapper", "val_dataloader", "test_evaluator"):
        assert student[key] == teacher[key]
