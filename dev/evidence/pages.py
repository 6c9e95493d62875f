"""The generated parts of pages: what stands between two marks is written here and nowhere else.

    python -m dev.evidence.pages           write them anew; a test says when that was forgotten

Marks     <!-- evidence: WHAT NAME ... --> and <!-- /evidence -->, each on a line of its own
WHAT      tables   a study's tables and picture
          known    a sentence for each study that is named, STUDY:ARM for another of its arms
          studies  a table of all studies, without names
         demo     what a run of the demo is expected to reach, without names
         search   what replays on the table of trained nets have shown, without names
         autohas, search_trees, journal   AutoHAS on digits, the tool on trees, and what the journal
                  of a search bears, without names
         digits   what self-training brings on digits, without names
         hosts    what it brings to a detector and to a segmentor, without names
         occlusion  what gates save when tracked objects hide each other, without names
         landmarks  whether TS3's teacher knows good labels, whether there is room for them, and
                  which of them help students that are trained again
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from dev.demo import expected
from dev.evidence import tables
from dev.evidence.occlusion.report import known as occlusion_known
from dev.evidence.provenance import ROOT
from dev.evidence.results import RESULTS, deciding, read
from dev.evidence.search import report
from dev.evidence.self_training.report import known as digits_known
from dev.evidence.studies import STUDIES
from dev.evidence.study import StudyError

BLOCK = re.compile(r"(<!-- evidence: (\w+)([\w: ]*) -->\n)(.*?)(^<!-- /evidence -->$)", re.S | re.M)


def pages() -> Iterator[Path]:
    """Every page that may have such a part."""
    for pattern in ("*.md", "docs/**/*.md", "configs/**/*.md"):
        yield from sorted(ROOT.glob(pattern))


def superseded() -> list[str]:
    """Names of the old studies that have a successor."""
    files = sorted((ROOT / RESULTS).glob("*.json"))
    return [file.stem for file in files if "superseded" in read(file)]


def rewrite() -> list[Path]:
    """Write every generated part anew; returns the pages that changed."""
    changed = []
    for page in pages():
        text = page.read_text()
        new = render(text, page)
        if new != text:
            page.write_text(new)
            changed.append(page)
    return changed


def render(text: str, page: Path) -> str:
    """The text of a page with its generated parts as they should be.

    Raises:
        StudyError: a mark asks for something that there is not.
    """

    def part(match: re.Match[str]) -> str:
        what, names = match[2], match[3].split()
        if what not in PARTS or not all(map(names_results, names)):
            raise StudyError(
                f"{page}: expected one of {list(PARTS)} and studies, or STUDY:ARM, in a mark, got "
                f"{match[1].strip()}"
            )
        return f"{match[1]}\n{PARTS[what](names, page)}\n\n{match[5]}"

    return BLOCK.sub(part, text)


def names_results(word: str) -> bool:
    """Whether a word of a mark is a study, or one and an arm that it compares."""
    name, _, arm = word.partition(":")
    return name in [*STUDIES, *superseded()] and (not arm or arm in statement(name)["arms"])


def results_of(name: str) -> dict[str, Any] | None:
    """A study's published file, if there is one."""
    path = ROOT / RESULTS / f"{name}.json"
    return read(path) if path.exists() else None


def untrained(row: str) -> bool:
    """Whether the README's row of a paper says *trained* and no study of the paper shows it.

    The paper's studies are those that the marks of its configs' READMEs name.
    """
    if not row.rstrip(" |").endswith("| trained"):
        return False
    texts = [
        (ROOT / folder / "README.md").read_text()
        for folder in re.findall(r"\]\((configs/[^)]+)\)", row)
    ]
    marks = [match for text in texts for match in BLOCK.finditer(text) if match[2] == "known"]
    named = [name.partition(":") for match in marks for name in match[3].split()]
    rows = [deciding(one, arm) for name, _, arm in named if (one := results_of(name))]
    digits = results_of("self_training")
    if digits and any("<!-- evidence: digits -->" in text for text in texts):
        rows.append(digits["decides"])
    return not any(row["low"] > 0 for row in rows)


@cache
def statement(name: str) -> dict[str, Any]:
    """What is stated, or was when the study ran."""
    found = results_of(name)
    return found["statement"] if found else STUDIES[name].statement()


def tables_part(names: list[str], page: Path) -> str:
    """Tables and picture of each study."""
    parts = []
    for name in names:
        found = results_of(name)
        if found is None:
            parts.append(tables.known(name, statement(name), None))
            continue
        parts.append(tables.both(found))
        if "superseded" in found:
            by = " and ".join(f"`{one}`" for one in found["superseded_by"])
            parts.append(f"*Superseded by {by}: {found['superseded']}.*")
        else:
            picture = Path(os.path.relpath(ROOT / RESULTS / f"{name}.png", page.parent)).as_posix()
            parts.append(f"![{name}: each line is a pair]({picture})")
    return "\n\n".join(parts)


def known_part(names: list[str], page: Path) -> str:
    """A sentence for each study; ``STUDY:ARM`` has one of another arm than the claimed one."""
    named = [name.partition(":") for name in names]
    return "\n".join(
        f"- {tables.known(name, statement(name), results_of(name), arm)}" for name, _, arm in named
    )


def studies_part(names: list[str], page: Path) -> str:
    """All studies: what is compared, on which data, what came out."""
    rows = []
    for name in STUDIES:
        stated, found = statement(name), results_of(name)
        row = deciding(found) if found else None
        rows.append(
            [
                f"`{name}`",
                f"{stated['claim']} against {stated['baseline']}",
                stated["data_name"],
                stated["primary"],
                tables.interval(row) if row else "stated, not run",
                f"{row['wins']} of {row['n']}" if row else f"of {len(stated['seeds'])}",
                stated["limits"],
            ]
        )
    heads = [
        "study",
        "claim",
        "data",
        "decides",
        "paired difference (95 % interval)",
        "wins",
        "does not show",
    ]
    return tables.markdown(heads, rows)


def demo_part(names: list[str], page: Path) -> str:
    """What a run of the demo is expected to reach."""
    return expected.known(expected.recorded())


def search_part(names: list[str], page: Path) -> str:
    """Tables and picture of the replayed searches."""
    found = read(ROOT / RESULTS / "search.json")
    picture = Path(os.path.relpath(ROOT / RESULTS / "search.png", page.parent)).as_posix()
    return f"{report.both(found)}\n\n![Regret over budget]({picture})"


def digits_part(names: list[str], page: Path) -> str:
    """Self-training on digits, forty nets at once."""
    return digits_known(results_of("self_training"))


def hosts_part(names: list[str], page: Path) -> str:
    """Self-training of a detector and of a segmentor: the room, and what a student gains."""
    from dev.evidence.self_training import hosts_report  # this loads policies of augmentation

    settings = hosts_report.SETTINGS
    return "\n\n".join(hosts_report.known(name, *hosts_report.published(name)) for name in settings)


def occlusion_part(names: list[str], page: Path) -> str:
    """Trackers when objects hide each other, and their picture where it has been drawn."""
    found = results_of("occlusion")
    if not found:
        return occlusion_known(None)
    folder = Path(os.path.relpath(ROOT / RESULTS, page.parent)).as_posix()
    return (
        f"{occlusion_known(found)}\n\n![Switches of each tracker]({folder}/occlusion.png)\n\n"
        "A development scene by re-ID without gates, above, and with all gates, below; a colour is "
        "an identity, white is none, a filled point is told to be visible. *Composed of pictures "
        "of the packages tuxpaint-stamps-default and mate-backgrounds, and like them under the "
        f"GPL, version 2 or later.*\n\n![Who is who while one hides the other]({folder}/"
        "occlusion_scene.jpg)"
    )


def landmarks_part(names: list[str], page: Path) -> str:
    """How well pseudo-labels are ranked on the mouse, the room for them, and what they bring."""
    from dev.evidence.landmarks import ranking, retraining, room  # these load the nets

    folder = Path(os.path.relpath(ROOT / RESULTS, page.parent)).as_posix()
    picture = f"![Rank correlations of twelve seeds]({folder}/landmarks_ranking.png)"
    ranked = results_of("landmarks_ranking")
    parts = [
        ranking.known(ranked),
        room.known(results_of("landmarks_room")),
        retraining.known(results_of("landmarks_retraining")),
    ]
    return "\n\n".join([*parts, picture] if ranked else parts)


PARTS = {
    "tables": tables_part,
    "known": known_part,
    "studies": studies_part,
    "search": search_part,
    "demo": demo_part,
    "autohas": lambda names, page: report.autohas(results_of("search_autohas")),
    "journal": lambda names, page: report.journal(results_of("search_journal")),
    "search_trees": lambda names, page: report.on_trees(results_of("search_trees")),
    "digits": digits_part,
    "hosts": hosts_part,
    "occlusion": occlusion_part,
    "landmarks": landmarks_part,
}


if __name__ == "__main__":
    for changed in rewrite():
        print(changed.relative_to(ROOT))
