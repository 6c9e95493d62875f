"""Configs of searches train our own classifiers."""

from tests.contract.classification import *  # noqa: F403
