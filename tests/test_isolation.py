"""Tests do not depend on which ones ran before them in the same process."""

import pytest
from mmengine.registry import DefaultScope

PROBE = """
import pytest
from mmengine.registry import DefaultScope, init_default_scope

@pytest.fixture(scope="module")
def scope_of_a_module():
    init_default_scope("mmaction")

def test_a_fixture_of_a_module_sets_a_scope(scope_of_a_module):
    assert DefaultScope.get_current_instance().scope_name == "mmaction"

def test_the_next_one_has_none():
    assert DefaultScope.get_current_instance() is None
"""

pytest_plugins = ["pytester"]


def test_a_default_scope_ends_with_its_test(pytester: pytest.Pytester):
    pytester.makeconftest("from tests.conftest import pytest_runtest_protocol")
    pytester.makepyfile(PROBE)
    DefaultScope._instance_dict.clear()  # it runs in this process
    pytester.inline_run("-p", "no:cacheprovider").assertoutcome(passed=2)
