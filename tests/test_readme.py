"""The README says what is: its config builds, its tables are those of the committed evidence."""

import json
import re

import pytest

from dev.evidence import run as evidence
from mmext.detection.gfl.head import GFLHead
from tests.contract import detection
from tests.contract.parts import ROOT


def test_the_config_in_the_readme_builds_our_head(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    config = tmp_path / "mine.py"
    config.write_text(snippet)
    model = detection.build(config)
    assert type(model.bbox_head) is GFLHead
    assert type(model.bbox_head.loss_cls).__module__ == "mmext.detection.gfl.losses"


def rows(text: str) -> list[tuple[str, ...]]:
    """The cells of the tables in Markdown, however they are padded."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


@pytest.mark.parametrize(
    ("study", "page"),
    [
        ("trees", "README.md"),
        ("trees", "configs/detection/gfl/README.md"),
        ("detection", "README.md"),
        ("detection", "configs/detection/gfl/README.md"),
        ("detection", "configs/detection/iou_balanced/README.md"),
        ("detectors", "README.md"),
        ("detectors", "configs/detection/detecto_rs/README.md"),
        ("sample_weighting", "README.md"),
        ("sample_weighting", "configs/detection/sample_weighting/README.md"),
        ("segmentation", "README.md"),
        ("segmentation", "configs/segmentation/emanet/README.md"),
        ("segmentation", "configs/segmentation/dnl/README.md"),
        ("action", "README.md"),
        ("action", "configs/action/stm/README.md"),
    ],
)
def test_the_table_is_that_of_the_evidence(study, page):
    runs = json.loads((ROOT / f"docs/evidence/{study}.json").read_text())["runs"]
    heading, _, *arms = rows(evidence.table(study, runs))
    found = rows((ROOT / page).read_text())
    start = found.index(heading)
    assert found[start + 2 :][: len(arms)] == arms


@pytest.mark.parametrize(
    ("study", "arms"),
    [
        ("trees", 3),
        ("detection", 7),
        ("detectors", 4),
        ("sample_weighting", 4),
        ("segmentation", 5),
        ("action", 5),
    ],
)
def test_the_evidence_is_complete(study, arms):
    runs = json.loads((ROOT / f"docs/evidence/{study}.json").read_text())["runs"]
    assert len(runs) == arms
    assert all(sorted(seeds) == ["0", "1", "2"] for seeds in runs.values())


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("configs/**/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
