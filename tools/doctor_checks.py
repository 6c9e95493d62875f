"""What goes wrong between the hosts, torch and their friends: one small pure function a trouble.

Each check looks at the facts that ``tools/doctor.py`` collects. The standard library alone, and no syntax
that an old Python cannot read.
"""

from __future__ import annotations

import re

from doctor_facts import FORKS, HOSTS, NEEDS, OK, TROUBLE, WARN, Finding, Machine, numbers

OPENCV = tuple(
    f"opencv-{kind}" for kind in ("python", "contrib-python", "python-headless", "contrib-python-headless")
)
BUILD = (
    "pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary mmcv mmcv==2.1.0"
)
SETUP = "rm -rf .venv; make setup"
"""From scratch, since a completed set-up does not look for later damage; the built mmcv wheel is kept."""


def check_python(m: Machine) -> Finding:
    """Expect a Python that both stacks run on."""
    got = ".".join(map(str, m.python))
    if (3, 10) <= m.python[:2] <= (3, 12):
        return Finding("Python", OK, got)
    return Finding("Python", TROUBLE, f"{got}; the hosts run on 3.10 to 3.12", f"{SETUP} PYTHON=python3.11")


def check_torch(m: Machine) -> Finding:
    """Expect a torch that mmcv can be built for, and that can be imported."""
    version, error = m.version("torch"), m.errors.get("torch")
    cure = f"{SETUP} TORCH=2.13.0"
    if version is None:
        return Finding("torch", TROUBLE, "not installed", cure)
    if error:
        return Finding("torch", TROUBLE, f"{version} cannot be imported: {error}", cure)
    if m.below("torch", 2, 4):
        return Finding("torch", TROUBLE, f"{version}; mmext needs 2.4 to 2.13", cure)
    if m.at_least("torch", 2, 14):
        return Finding("torch", TROUBLE, f"{version} needs C++20, and mmcv's build insists on C++17", cure)
    return Finding("torch", OK, version)


def check_distributed(m: Machine) -> Finding:
    """Some builds of torch have no torch.distributed, which mmengine imports."""
    if m.facts.get("distributed") == "False":
        detail = "this torch was built without it, and mmengine imports it"
        return Finding("torch.distributed", TROUBLE, detail, "pip install --force-reinstall torch==2.13.0")
    return Finding("torch.distributed", OK, "present" if "distributed" in m.facts else "not asked: no torch")


def check_families(m: Machine) -> Finding:
    """Official packages and their forks share import names, and so folders."""
    official = [name for name in FORKS if name in m.versions]
    forks = [name for name in FORKS.values() if name in m.versions]
    if official and forks:
        detail = f"{', '.join(official)} and {', '.join(forks)} write the same folders"
        return Finding("host family", TROUBLE, detail, SETUP)
    return Finding(
        "host family", OK, "onedl forks" if forks else "official" if official else "none installed"
    )


def check_mmengine(m: Machine) -> Finding:
    """Expect mmengine: mmext is built on its registries."""
    version, error = m.version("mmengine"), m.errors.get("mmengine")
    if version is None:
        return Finding("mmengine", TROUBLE, "not installed; mmext cannot be used without it", SETUP)
    if error:
        return Finding("mmengine", TROUBLE, f"{version} cannot be imported: {error}", SETUP)
    # It tells the standard library by a path prefix that many Pythons do not have.
    lazy = "; 'import os' in a pure-Python config gives a placeholder (text configs, as ours, are fine)"
    return Finding("mmengine", OK, version + lazy * (m.facts.get("builtin_os") == "False"))


def check_ops(m: Machine) -> Finding:
    """With build isolation, pip builds mmcv without its ops and calls it a success."""
    version, error = m.version("mmcv"), m.errors.get("mmcv._ext")
    if version is None and "mmcv-lite" in m.versions:
        return Finding("mmcv's ops", TROUBLE, "mmcv-lite has none", SETUP)
    if version is None:
        return Finding("mmcv's ops", TROUBLE, "mmcv is not installed", SETUP)
    if error:
        detail = f"mmcv {version} was built without them, or for another torch: {error}"
        cure = f"{SETUP}, or by hand: pip install 'setuptools<81' wheel ninja psutil; {BUILD}"
        return Finding("mmcv's ops", TROUBLE, detail, cure)
    return Finding("mmcv's ops", OK, f"mmcv {version}")


def check_upper_bound(m: Machine) -> Finding:
    """The official hosts refuse mmcv 2.2.0, the last release, when they are imported."""
    refusing = [name for name in HOSTS.values() if name in m.versions]
    if not m.at_least("mmcv", 2, 2) or not refusing:
        return Finding("mmcv's version", OK, "accepted by the installed hosts")
    detail = (
        f"{', '.join(refusing)} refuse mmcv {m.version('mmcv')} when they are imported (they want < 2.2.0)"
    )
    if "onedl-mmcv" in m.versions:
        return Finding(
            "mmcv's version", WARN, detail, "use the official stack for them: make setup STACK=openmmlab"
        )
    return Finding("mmcv's version", TROUBLE, detail, f"{SETUP}, or by hand: {BUILD}")


def check_hosts(m: Machine) -> Finding:
    """Expect each host, and that it can be imported."""
    found = {host: m.version(name) for host, name in HOSTS.items()}
    missing = [HOSTS[host] for host, version in found.items() if version is None]
    broken = [
        f"{host}: {m.errors[host]}" for host, version in found.items() if version and m.errors.get(host)
    ]
    present = ", ".join(f"{host} {version}" for host, version in found.items() if version)
    if broken:
        return Finding("hosts", TROUBLE, f"cannot be imported: {'; '.join(broken)}", SETUP)
    if missing:
        detail = f"not installed: {', '.join(missing)}; the parts of mmext for them cannot be used"
        return Finding("hosts", WARN, detail, SETUP)
    return Finding("hosts", OK, present)


def repaired(m: Machine, name: str, detail: str, cure: str) -> Finding:
    """A trouble that is none where mmext is installed."""
    if "mmext" in m.importable:
        return Finding(name, OK, f"{detail}; mmext repairs it when it is imported")
    return Finding(name, TROUBLE, detail, f"{cure}, or use mmext, which repairs it: pip install -e .")


def check_drn(m: Machine) -> Finding:
    """A folder without an ``__init__`` did not make it into mmaction2's wheel."""
    if not m.drn_missing:
        return Finding("mmaction2's drn", OK, "no part is missing")
    detail = "the wheel lacks mmaction.models.localizers.drn"
    return repaired(m, "mmaction2's drn", detail, "install mmaction2 from its source tree")


def check_weights_only(m: Machine) -> Finding:
    """From 2.6 on torch loads with ``weights_only``; mmengine 0.10.7 saves more than plain weights."""
    if not m.at_least("torch", 2, 6) or not m.below("mmengine", 0, 10, 8):
        return Finding("resuming", OK, "not concerned")
    detail = (
        f"torch {m.version('torch')} refuses the history in mmengine {m.version('mmengine')}'s checkpoints"
    )
    return repaired(m, "resuming", detail, "pip install 'torch<2.6'")


def check_setuptools(m: Machine) -> Finding:
    """Expect pkg_resources: mmengine 0.10.7 imports it at run time, mmcv when it is built."""
    if "mmengine" not in m.versions or "pkg_resources" in m.importable:
        return Finding("pkg_resources", OK, f"setuptools {m.version('setuptools') or 'is not installed'}")
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
    """Expect one OpenCV, of the series that the hosts were made for."""
    found = [f"{name}=={m.versions[name]}" for name in OPENCV if name in m.versions]
    names = " ".join(name for name in OPENCV if name in m.versions)
    one = "pip install --no-deps 'opencv-contrib-python-headless<5'"
    if len(found) > 1:
        return Finding(
            "OpenCV", TROUBLE, f"{', '.join(found)} write one folder", f"pip uninstall -y {names}; {one}"
        )
    if not found:
        return Finding("OpenCV", TROUBLE if m.version("mmcv") else WARN, "not installed", one)
    if numbers(m.versions[names]) >= (5,):
        return Finding(
            "OpenCV", WARN, f"{found[0]} is untested with the hosts", f"pip uninstall -y {names}; {one}"
        )
    return Finding("OpenCV", OK, found[0])


def check_clashes(m: Machine) -> Finding:
    """Some pairs of releases do not work together."""
    table = (
        (
            m.at_least("torch", 2, 5) and m.below("mmengine", 0, 10, 6) and "transformers" in m.versions,
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
            "pip uninstall -y openmim (pip and make setup do its work)",
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


def check_compiler(m: Machine) -> Finding:
    """Expect a C++ compiler where mmcv's ops have to be built."""
    if m.compiler:
        return Finding("C++ compiler", OK, m.compiler)
    built = "mmcv._ext" in m.errors and not m.errors["mmcv._ext"]
    detail = "none; mmcv's ops are built already" if built else "none, and mmcv's ops have to be built"
    return Finding("C++ compiler", WARN if built else TROUBLE, detail, "apt-get install g++ (Debian, Ubuntu)")


def check_cuda(m: Machine) -> Finding:
    """Expect that torch and mmcv's ops run on the devices that are there."""
    if not m.devices:
        return Finding("CUDA", OK, "no device")
    seen = f"device of capability {', '.join(m.devices)}"
    if m.facts.get("torch_cuda", "None") == "None":
        return Finding(
            "CUDA", WARN, f"{seen}, but torch is a CPU build", f"{SETUP} TORCH=..., naming a CUDA build"
        )
    archs = m.facts.get("torch_archs", "").split()
    strange = [device for device in m.devices if not has_kernels(device, archs)]
    if strange:
        detail = f"torch has no kernels for capability {', '.join(strange)}, only for {' '.join(archs)}"
        return Finding("CUDA", TROUBLE, detail, f"{SETUP} TORCH=2.13.0")
    error = m.errors.get("mmcv on CUDA")
    if error:
        cure = f"{SETUP} MMEXT_CUDA=1"
        return Finding("CUDA", TROUBLE, f"{seen}, but mmcv's ops do not run on it: {error}", cure)
    return Finding("CUDA", OK, seen)


def has_kernels(device: str, archs: list[str]) -> bool:
    """Whether code built for ``archs`` (``sm_90``: machine code, ``compute_90``: compiled on demand) runs."""
    major, minor = (int(part) for part in device.split("."))
    for arch in archs:
        kind, _, digits = re.sub(r"[a-z]$", "", arch).partition("_")
        built = (int(digits[:-1]), int(digits[-1]))
        if built <= (major, minor) and (kind == "compute" or built[0] == major):
            return True
    return False


def check_pip_cache(m: Machine) -> Finding:
    """A wheel that pip built is kept by it, and taken again for any torch."""
    if m.cached:
        detail = f"pip would reuse {', '.join(m.cached)} whatever the torch, and with or without ops"
        return Finding("pip's cache", WARN, detail, "pip cache remove mmcv; pip cache remove onedl_mmcv")
    return Finding("pip's cache", OK, "holds no mmcv")


def check_disk(m: Machine) -> Finding:
    """Expect some room."""
    if m.free_gb < 4:
        return Finding("disk", WARN, f"{m.free_gb:.1f} GB free", "make room: an environment takes 2 to 8 GB")
    return Finding("disk", OK, f"{m.free_gb:.0f} GB free")


CHECKS = (
    check_python,
    check_torch,
    check_distributed,
    check_families,
    check_mmengine,
    check_ops,
    check_upper_bound,
    check_hosts,
    check_drn,
    check_weights_only,
    check_setuptools,
    check_numpy_names,
    check_undeclared,
    check_opencv,
    check_clashes,
    check_compiler,
    check_cuda,
    check_pip_cache,
    check_disk,
)
