"""What pyproject.toml cannot say: where OpenMMLab's tools look for a package's configs.

They read ``mmext/.mim/{configs,tools,model-index.yml}``. In a wheel these are copies; an editable install
gets links to the checkout, so that an edited config counts at once.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ("configs", "tools", "model-index.yml")


class BuildPy(build_py):
    """Build the package, then put ``.mim`` into it."""

    def run(self) -> None:
        """Copy for a wheel, link for an editable install."""
        super().run()
        target = (ROOT if self.editable_mode else Path(self.build_lib)) / "mmext" / ".mim"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM:
            if self.editable_mode:
                (target / name).symlink_to(Path("..", "..", name))
            elif (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
                )
            else:
                shutil.copy2(ROOT / name, target / name)


setup(cmdclass={"build_py": BuildPy})
