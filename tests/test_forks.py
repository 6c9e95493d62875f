"""The maintained forks: what mmext.compat corrects for them.

The repairs themselves run on both stacks.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.fresh_process import run


def installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


FORKS = installed("onedl-mmengine")


def test_mmengines_table_names_the_forks_that_are_installed(tmp_path: Path) -> None:
    """Stand-ins for the forks' metadata.

    Where a host's official package is installed, it keeps its name.
    """
    for fork in ("onedl-mmdetection", "onedl-mmsegmentation"):
        folder = tmp_path / f"{fork.replace('-', '_')}-9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {fork}\nVersion: 9\n")
    run(
        """
        import importlib.metadata as metadata
        find = metadata.version
        def version(name):
            if name in ("mmsegmentation", *gone):
                raise metadata.PackageNotFoundError(name)
            return find(name)
        metadata.version, gone = version, []
        import mmext
        from mmengine.config.utils import MODULE2PACKAGE
        from mmext.compat.forks import ForkPackages
        try:
            official = bool(find("mmdet"))
        except metadata.PackageNotFoundError:
            official = False
        assert mmext.compat.state()["fork_packages"] == "applied"
        assert MODULE2PACKAGE["mmseg"] == "onedl-mmsegmentation"
        assert MODULE2PACKAGE["mmdet"] == ("mmdet" if official else "onedl-mmdetection")
        assert MODULE2PACKAGE["mmaction"] == "mmaction2"
        mmext.compat.undo()
        assert (MODULE2PACKAGE["mmseg"], MODULE2PACKAGE["mmdet"]) == ("mmsegmentation", "mmdet")
        """,
        cwd=tmp_path,
    )


@pytest.mark.skipif(not FORKS, reason="the forks are not installed here")
def test_configs_of_the_forks_are_found_and_nothing_is_installed(tmp_path: Path) -> None:
    (tmp_path / "seg.py").write_text('_base_ = "mmseg::_base_/models/fcn_r50-d8.py"\n')
    (tmp_path / "det.py").write_text('_base_ = "mmdet::_base_/models/retinanet_r50_fpn.py"\n')
    run(
        """
        import mmext
        from mmengine import Config
        from mmengine.hub import get_config
        from mmengine.utils import package_utils
        def no(*command):
            raise AssertionError(command)
        package_utils.call_command = no
        assert Config.fromfile("seg.py").model.type == "EncoderDecoder"
        assert Config.fromfile("det.py").model.type == "RetinaNet"
        fcn = get_config("mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py")
        assert fcn.model.type == "EncoderDecoder"
        assert get_config("mmdet::retinanet/retinanet_r50_fpn_1x_coco.py").model.type == "RetinaNet"
        """,
        cwd=tmp_path,
    )


@pytest.mark.skipif(FORKS, reason="the forks are installed here")
def test_official_packages_keep_their_names(tmp_path: Path) -> None:
    run(
        """
        import mmext
        from mmengine.config.utils import MODULE2PACKAGE
        assert mmext.compat.state()["fork_packages"] == "not needed"
        assert MODULE2PACKAGE["mmseg"] == "mmsegmentation"
        """,
        cwd=tmp_path,
    )
