"""Configs of self-training that need no host train our own classifiers."""

from tests.contract.classification import *  # noqa: F403
