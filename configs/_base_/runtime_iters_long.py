"""runtime.py for long schedules that count iterations: logs and checkpoints do so too."""

_base_ = ["runtime_iters.py"]

default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5000))
log_processor = dict(window_size=50)
