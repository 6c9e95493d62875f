"""Detection parts. Host: mmdet. The papers are listed in :mod:`mmext.detection.papers`."""
