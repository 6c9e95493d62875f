"""Poses and identities of many objects. Host: mmdet. Papers: :mod:`mmext.pose.papers`."""
