"""Segmentation parts. Host: mmseg. The papers are listed in :mod:`mmext.segmentation.papers`."""
