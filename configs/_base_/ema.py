"""Averaged weights as FBNetV3's code takes them: decay 0.9998, statistics of norms included.

mmengine's own hook. By itself it averages parameters and copies statistics from the live model;
``update_buffers`` averages them too. What is validated, tested and kept as best are the averages.
"""

custom_hooks = [dict(type="EMAHook", momentum=2e-4, update_buffers=True)]
