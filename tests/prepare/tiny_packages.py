"""Real Debian packages of a few made-up files, so no test needs the large ones or a network."""

import shutil
import subprocess

import pytest

needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="this machine has no dpkg-deb"
)
needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None, reason="this machine has no apt-get"
)


def package(folder, deb, files, version="9-1"):
    """Build a real Debian package of these files; returns its path."""
    tree = folder / f"tree-{deb.name}-{version}"
    control = (
        f"Package: {deb.name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: nobody <a@b.invalid>\n"
    )
    for name, content in {
        **files,
        "DEBIAN/control": f"{control}Description: test\n".encode(),
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    path = folder / f"{deb.name}_{version}_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path
