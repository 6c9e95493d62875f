"""The pages say what is: the README's config builds, tables are those of the committed evidence."""

import json
import re

import pytest

from dev.evidence import pages, results
from dev.evidence.studies import STUDIES
from dev.evidence.study import StudyError
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


def test_generated_parts_of_pages_are_those_of_the_evidence():
    """If this fails: python -m dev.evidence.pages."""
    for page in pages.pages():
        assert pages.render(page.read_text(), page) == page.read_text(), page


@pytest.mark.parametrize("wrong", ["tables nobody", "words gfl", "known attention_near:ATSS"])
def test_a_mark_that_asks_for_what_there_is_not_is_refused(wrong):
    text = f"<!-- evidence: {wrong} -->\nold\n<!-- /evidence -->"
    with pytest.raises(
        StudyError, match=f"README.md: expected one of .* got <!-- evidence: {wrong}"
    ):
        pages.render(text, ROOT / "README.md")


def test_a_mark_names_another_arm_than_the_claimed_one():
    text = "<!-- evidence: known attention_plain attention_plain:EMANet -->\n<!-- /evidence -->"
    claimed, other = pages.render(text, ROOT / "README.md").split("\n- ")[1:]
    assert claimed.startswith("DNL against FCN in mIoU")
    assert other.startswith("EMANet against FCN in mIoU on six-class cut-outs differs: -0.0148 (")


def test_a_part_that_was_edited_by_hand_is_found():
    text = "before\n<!-- evidence: tables action -->\n| 0.9 |\n<!-- /evidence -->\nafter"
    new = pages.render(text, ROOT / "README.md")
    assert "| TSN: frames alone | 0.142 ± 0.019" in new
    assert "0.9 |" not in new
    assert new.startswith("before\n<!-- evidence: tables action -->\n\n| arm")
    assert new.endswith(".*\n\n<!-- /evidence -->\nafter")
    assert pages.render(new, ROOT / "README.md") == new


STUDY_FILES = sorted(
    file
    for file in (ROOT / "docs/evidence").glob("*.json")
    if "runs" in json.loads(file.read_text())
)


@pytest.mark.parametrize("file", STUDY_FILES, ids=lambda file: file.stem)
def test_the_evidence_is_complete_and_says_what_its_numbers_say(file):
    found = json.loads(file.read_text())
    if "superseded" in found:
        assert len(found["superseded"]) > 30
        assert set(found["superseded_by"]) <= set(STUDIES)
        assert all(sorted(seeds) == ["0", "1", "2"] for seeds in found["runs"].values())
        return
    study, stated = STUDIES[file.stem], found["statement"]
    assert set(found["runs"]) == set(stated["arms"]) == set(study.arms)
    assert all(sorted(map(int, seeds)) == stated["seeds"] for seeds in found["runs"].values())
    asked = {key: value for key, value in study.statement().items() if key != "arms"}
    assert {key: stated[key] for key in asked} == asked
    again = results.compare(found["runs"], study.compared, study.measures)
    assert json.loads(json.dumps(again)) == found["pairs"]
    assert file.with_suffix(".png").is_file()
    assert found["commit"]


def test_every_study_is_shown_on_the_page_of_the_evidence_and_at_a_paper():
    page = (ROOT / "docs/evidence/README.md").read_text()
    papers = "".join(one.read_text() for one in ROOT.glob("configs/*/*/README.md"))
    for name in [*STUDIES, *pages.superseded()]:
        assert f"<!-- evidence: tables {name} -->" in page
    for name in STUDIES:
        assert re.search(rf"<!-- evidence: known [\w ]*\b{name}\b", papers), name


def test_a_paper_is_called_trained_only_where_a_study_shows_it():
    rows = [row for row in (ROOT / "README.md").read_text().splitlines() if "](configs/" in row]
    assert len(rows) >= 9
    assert not [row for row in rows if pages.untrained(row)]


@pytest.mark.parametrize(("low", "untrained"), [(0.001, False), (-0.001, True), (None, True)])
def test_a_status_needs_an_interval_above_zero(low, untrained, monkeypatch):
    decides = dict(treated="a", control="b", measure="AP", low=low)
    found = dict(statement=dict(claim="a", baseline="b", primary="AP"), pairs=[decides])
    monkeypatch.setattr(
        pages, "results_of", lambda name: found if low and name == "iou_balanced" else None
    )
    row = "| [Paper](x) | idea | detection | `Part` | [c](configs/detection/iou_balanced) | {} |"
    assert pages.untrained(row.format("trained")) == untrained
    assert not pages.untrained(row.format("parity"))


def test_links_lead_somewhere():
    for page in pages.pages():
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"
