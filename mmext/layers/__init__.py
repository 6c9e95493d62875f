"""Layers that several tasks share. They need torch, and mmcv's building blocks at most."""
