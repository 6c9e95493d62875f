"""What pyproject.toml cannot say: two things that do not belong to a package's own modules.

.mim             where OpenMMLab's tools look for configs, tools and model-index.yml. In a wheel
these are
                 copies; an editable install gets links, so that an edited config counts at once
mmext-start.pth  mmext/start.pth, a line that Python runs when it starts, beside the package in
every install.
                 It serves mmcv._ext (mmext.ops), and imports mmext before mmengine: a config may
                 stand on mmext::, and its bases are read before its custom_imports
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ("configs", "tools", "model-index.yml")
START = Path("mmext", "start.pth")


class BuildPy(build_py):
    """Build the package, then add ``.mim`` and the start."""

    def run(self) -> None:
        """Copy for a wheel, link for an editable install."""
        super().run()
        # An editable install leaves out what is built, and takes what lies where it will be
        # installed.
        home = (
            self.get_finalized_command("install").install_lib
            if self.editable_mode
            else self.build_lib
        )
        shutil.copy2(ROOT / START, Path(home) / "mmext-start.pth")
        target = (ROOT if self.editable_mode else Path(self.build_lib)) / "mmext" / ".mim"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM:
            if self.editable_mode:
                (target / name).symlink_to(Path("..", "..", name))
            elif (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name,
                    target / name,
                    ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
                )
            else:
                shutil.copy2(ROOT / name, target / name)


setup(cmdclass={"build_py": BuildPy})
