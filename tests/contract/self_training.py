"""Small configs of self-training train mmdet's detectors; the wrapper asks them what it lacks."""

from tests.contract.detection import *  # noqa: F403
