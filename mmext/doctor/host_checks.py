"""What goes wrong between the hosts and their friends: known troubles, and those mmext repairs.

Each check is a small pure function of the facts. The standard library alone, and no syntax that an
old Python cannot read.
"""

from __future__ import annotations

from .facts import NEEDS, OK, TROUBLE, WARN, Finding, Machine, numbers, repaired

OPENCV = tuple(
    f"opencv-{kind}"
    for kind in ("python", "contrib-python", "python-headless", "contrib-python-headless")
)


def check_drn(m: Machine) -> Finding:
    """A folder without an ``__init__`` did not make it into mmaction2's wheel."""
    if not m.drn_missing:
        return Finding("mmaction2's drn", OK, "no part is missing")
    detail = "the wheel lacks mmaction.models.localizers.drn"
    return repaired(m, "mmaction2's drn", detail, "install mmaction2 from its source tree")


def check_weights_only(m: Machine) -> Finding:
    """From 2.6 torch loads with ``weights_only``; mmengine 0.10.7 saves more than plain weights."""
    if not m.at_least("torch", 2, 6) or not m.below("mmengine", 0, 10, 8):
        return Finding("resuming", OK, "not concerned")
    detail = (
        f"torch {m.version('torch')} refuses the history in mmengine {m.version('mmengine')}'s "
        "checkpoints"
    )
    return repaired(m, "resuming", detail, "pip install 'torch<2.6'")


def check_setuptools(m: Machine) -> Finding:
    """Expect pkg_resources: mmengine 0.10.7 imports it at run time, mmcv when it is built."""
    if "mmengine" not in m.versions or "pkg_resources" in m.importable:
        return Finding(
            "pkg_resources", OK, f"setuptools {m.version('setuptools') or 'is not installed'}"
        )
    detail = f"setuptools {m.version('setuptools')} has none; mmengine and mmcv's build import it"
    return Finding("pkg_resources", TROUBLE, detail, "pip install 'setuptools<81'")


def check_numpy_names(m: Machine) -> Finding:
    """The hosts use names that numpy has removed."""
    gone = m.facts.get("numpy_gone", "")
    users = [name for name in ("mmdet", "mmaction2") if name in m.versions]
    if not gone or not users:
        return Finding("numpy's names", OK, f"numpy {m.version('numpy') or 'is not installed'}")
    detail = f"numpy {m.version('numpy')} has no {gone}, which {' and '.join(users)} use"
    return repaired(m, "numpy's names", detail, "pip install numpy==1.26.4")


def check_undeclared(m: Machine) -> Finding:
    """Expect what the hosts import without declaring it."""
    missing = [name for name, host in NEEDS.items() if m.version(host) and name not in m.importable]
    if not missing:
        return Finding("undeclared needs", OK, "all there")
    detail = ", ".join(f"{name} (for {NEEDS[name]})" for name in missing)
    cure = f"pip install {' '.join(missing)}"
    if "decord" in missing:
        cure += " (where decord has no wheel: eva-decord on a Mac, decord2 on Linux for ARM)"
    return Finding("undeclared needs", TROUBLE, f"missing: {detail}", cure)


def check_opencv(m: Machine) -> Finding:
    """Expect an OpenCV of the series that the hosts were made for, or several of one release."""
    found = [f"{name}=={m.versions[name]}" for name in OPENCV if name in m.versions]
    names = " ".join(name for name in OPENCV if name in m.versions)
    one = "pip install --no-deps 'opencv-contrib-python-headless<5'"
    if not found:
        return Finding("OpenCV", TROUBLE if m.version("mmcv") else WARN, "not installed", one)
    series = {numbers(m.versions[name])[:3] for name in names.split()}
    told, cure = ", ".join(found), f"pip uninstall -y {names}; {one}"
    if m.errors.get("cv2"):
        return Finding("OpenCV", TROUBLE, f"{told} cannot be imported: {m.errors['cv2']}", cure)
    if max(series) >= (5,):
        return Finding("OpenCV", WARN, f"{told} is untested with the hosts", cure)
    if len(series) > 1:
        return Finding(
            "OpenCV", WARN, f"{told} write one folder: the last one to be installed serves", cure
        )
    # mmengine asks for one and mmaction2 for another, so an installation by the book has both.
    return Finding(
        "OpenCV", OK, told if len(found) == 1 else f"{told}, of one release, share a folder"
    )


def check_clashes(m: Machine) -> Finding:
    """Some pairs of releases do not work together."""
    table = (
        (
            m.at_least("torch", 2, 5)
            and m.below("mmengine", 0, 10, 6)
            and "transformers" in m.versions,
            "this mmengine registers torch's and transformers' Adafactor under one name",
            "pip install mmengine==0.10.7",
        ),
        (
            m.at_least("yapf", 0, 40, 2) and m.below("mmengine", 0, 9),
            "this mmengine passes 'verify' to yapf, which no longer knows it",
            "pip install mmengine==0.10.7",
        ),
        (
            m.python[:2] >= (3, 12) and "openmim" in m.versions,
            "mim fails on Python 3.12",
            "pip uninstall -y openmim (pip does its work)",
        ),
        (
            m.at_least("matplotlib", 3, 10) and "mmpose" in m.versions,
            "mmpose draws with what matplotlib 3.10 has removed",
            "pip install 'matplotlib<3.10'",
        ),
    )
    details = "; ".join(detail for clash, detail, _ in table if clash)
    cures = "; ".join(dict.fromkeys(cure for clash, _, cure in table if clash))
    return Finding("known clashes", TROUBLE if details else OK, details or "none", cures)


CHECKS = (
    check_drn,
    check_weights_only,
    check_setuptools,
    check_numpy_names,
    check_undeclared,
    check_opencv,
    check_clashes,
)
