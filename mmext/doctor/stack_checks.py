"""What is installed, and whether it belongs together: Python, torch, torchvision, the hosts.

Each check is a small pure function of the facts. Those that ``import mmext`` asks need no more than
the names of what is installed.
"""

from __future__ import annotations

from . import supported
from .facts import FORKS, HOSTS, OK, TROUBLE, WARN, Finding, Machine, complete, fresh, repaired

IMPORTS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "mmengine": "mmengine",
    "mmcv": "mmcv",
    **HOSTS,
}
"""Import name and distribution of what the stack is made of."""


def check_python(m: Machine) -> Finding:
    """Expect a Python that both stacks run on."""
    return supported.check_python(m.python)


def check_torch(m: Machine) -> Finding:
    """Expect a torch that is new enough, and that can be imported."""
    version, error = m.version("torch"), m.errors.get("torch")
    if version is None:
        return Finding("torch", TROUBLE, "not installed", complete())
    if error:
        return Finding("torch", TROUBLE, f"{version} cannot be imported: {error}", fresh())
    return supported.check_torch(version)


def check_pair(m: Machine) -> Finding:
    """A torchvision built for another torch breaks whatever imports it; without one all is well."""
    torch, torchvision = m.version("torch"), m.version("torchvision")
    if torch is None or torchvision is None:
        fitting = (
            "; one that fits: pip install --no-deps "
            f"'torchvision=={supported.torchvision_for(torch)}.*'"
            if torch
            else ""
        )
        return Finding("torchvision", OK, f"not installed, and not needed{fitting}")
    found = supported.check_pair(torch, torchvision)
    error = m.errors.get("torchvision")
    if found.status != OK or not error:
        return found
    broken = supported.check_pair(torch, "0.0")  # for its cure
    return broken._replace(detail=f"{torchvision} cannot be imported beside torch {torch}: {error}")


def check_families(m: Machine) -> Finding:
    """Official packages and their forks share import names, and so folders."""
    official = [name for name in (*FORKS, "mmcv-lite") if name in m.versions]
    forks = [name for name in FORKS.values() if name in m.versions]
    if official and forks:
        both = f"{', '.join(official)} and {', '.join(forks)}"
        detail = f"expected one family, got {both}, which write the same folders"
        return Finding(
            "host family",
            TROUBLE,
            detail,
            f"{fresh()} (the official ones), or {fresh(STACK='onedl')} (the forks)",
        )
    if "mmcv" in official and "mmcv-lite" in official:
        detail = "expected one mmcv, got mmcv and mmcv-lite, which write the same folder"
        return Finding(
            "host family",
            TROUBLE,
            detail,
            f"{fresh()}, or {fresh(OPS='mmcv')} for compiled operators",
        )
    return Finding(
        "host family", OK, "onedl forks" if forks else "official" if official else "none installed"
    )


def check_halves(m: Machine) -> Finding:
    """A record without package, a package without record or parts: what a cut-off pip leaves."""
    halves = []
    for module, name in IMPORTS.items():
        recorded, present = m.version(name) is not None, module in m.importable
        if recorded and not present:
            halves.append(f"{name} is recorded as installed, but has no package {module}")
        elif present and not recorded and module != "torchvision":
            halves.append(f"there is a package {module}, but no record of its installation")
    if "mmcv" in m.importable and "mmcv/ops" not in m.parts:
        halves.append("mmcv has no folder mmcv/ops (both mmcv and mmcv-lite 2.1.0 have it)")
    halves += [f"{name} needs {need}, which is missing" for name, need in _partners(m)]
    if halves:
        return Finding(
            "installation",
            TROUBLE,
            f"expected whole packages, got halves: {'; '.join(halves)}",
            fresh(),
        )
    return Finding("installation", OK, "whole")


def _partners(m: Machine) -> list[tuple[str, str]]:
    """Who is installed without what its import needs."""
    wanted: dict[str, tuple[str, ...]] = dict.fromkeys(
        HOSTS.values(), ("torch", "mmengine", "mmcv")
    )
    wanted.update(mmcv=("torch", "mmengine"), mmengine=("torch",))
    return [
        (name, need)
        for name, needs in wanted.items()
        for need in needs
        if m.version(name) is not None and m.version(need) is None and need not in m.importable
    ]


def check_wish(m: Machine) -> Finding:
    """``MMEXT_OPS`` may ask for what is not there."""
    name, choices = "MMEXT_OPS", supported.OPERATOR_SOURCES
    if not m.wanted:
        return Finding(name, OK, "not set")
    if m.wanted not in choices:
        return Finding(
            name,
            TROUBLE,
            f"expected one of {', '.join(choices)}, or nothing, got {m.wanted}",
            f"unset {name}",
        )
    if m.wanted == "mmcv" and "mmcv/_ext" not in m.parts:
        detail = "=mmcv expects mmcv's compiled extension, and there is none"
        return Finding(name, TROUBLE, detail, f"unset {name}, or {fresh(OPS='mmcv')}")
    if m.wanted == "torchvision" and m.version("torchvision") is None:
        detail = "=torchvision expects torchvision, and there is none"
        return Finding(name, TROUBLE, detail, f"unset {name}, or {fresh()}")
    return Finding(name, OK, m.wanted)


def check_distributed(m: Machine) -> Finding:
    """Some builds of torch have no torch.distributed, which mmengine imports."""
    if m.facts.get("distributed") == "False":
        detail = "this torch was built without it, and mmengine imports it"
        cure = f"pip install --force-reinstall torch=={supported.TORCH}"
        return Finding("torch.distributed", TROUBLE, detail, cure)
    return Finding(
        "torch.distributed", OK, "present" if "distributed" in m.facts else "not asked: no torch"
    )


def check_mmengine(m: Machine) -> Finding:
    """Expect mmengine: mmext is built on its registries."""
    version, error = m.version("mmengine"), m.errors.get("mmengine")
    if version is None:
        return Finding(
            "mmengine", TROUBLE, "not installed; mmext cannot be used without it", complete()
        )
    if error:
        return Finding("mmengine", TROUBLE, f"{version} cannot be imported: {error}", fresh())
    # It tells the standard library by a path prefix that many Pythons do not have.
    lazy = (
        "; 'import os' in a pure-Python config gives a placeholder (text configs, as ours, are "
        "fine)"
    )
    return Finding("mmengine", OK, version + lazy * (m.facts.get("builtin_os") == "False"))


def check_upper_bound(m: Machine) -> Finding:
    """The official hosts refuse mmcv 2.2.0, the last release, when they are imported."""
    refusing = [name for name in HOSTS.values() if name in m.versions]
    if not m.at_least("mmcv", 2, 2) or not refusing:
        return Finding("mmcv's version", OK, "accepted by the installed hosts")
    detail = (
        f"{', '.join(refusing)} refuse mmcv {m.version('mmcv')} when they are imported (they want "
        "< 2.2.0)"
    )
    if "onedl-mmcv" in m.versions:
        return repaired(m, "mmcv's version", detail, fresh())
    return Finding(
        "mmcv's version", TROUBLE, detail, f"{fresh()}, or by hand: pip install mmcv-lite==2.1.0"
    )


def check_hosts(m: Machine) -> Finding:
    """Expect each host, and that it can be imported."""
    found = {host: m.version(name) for host, name in HOSTS.items()}
    missing = [HOSTS[host] for host, version in found.items() if version is None]
    broken = [
        f"{host}: {m.errors[host]}"
        for host, version in found.items()
        if version and m.errors.get(host)
    ]
    present = ", ".join(f"{host} {version}" for host, version in found.items() if version)
    if broken:
        return Finding("hosts", TROUBLE, f"cannot be imported: {'; '.join(broken)}", fresh())
    if missing:
        detail = f"not installed: {', '.join(missing)}; the parts of mmext for them cannot be used"
        return Finding("hosts", WARN, detail, complete())
    return Finding("hosts", OK, present)


CHECKS = (
    check_python,
    check_torch,
    check_pair,
    check_distributed,
    check_families,
    check_halves,
    check_mmengine,
    check_upper_bound,
    check_hosts,
    check_wish,
)
