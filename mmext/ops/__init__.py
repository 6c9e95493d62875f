"""mmcv's operators without mmcv's compiled extension: served by torchvision, or by plain PyTorch.

Problem   ``import mmcv.ops`` needs ``mmcv._ext``, which has no wheels for a current torch and takes
          minutes to build
Idea      A module of ours answers for ``mmcv._ext`` where nobody else does, function by function
Host      mmcv 2.1.0 or ``mmcv-lite`` 2.1.0, onedl-mmcv 2.3.6; the formulas need torch alone
Sources   chosen for each operator, and logged once at level INFO of the logger ``mmext``:
          1. ``mmcv``          its own extension, wherever it is installed and fits the
                               installed torch
          2. ``torchvision``   NMS, RoIAlign (average) and both deformable convolutions, where it
                               fits the installed torch
          3. ``torch``         plain PyTorch, everything else
Switch    ``MMEXT_OPS=mmcv``, ``torchvision`` or ``torch`` in the environment forces one
          (torchvision lacks most, and plain PyTorch serves those); ``off`` leaves ``mmcv._ext``
          alone
Ask       :func:`sources`, or ``mmext doctor``
Deviates  see ``# DEVIATION:`` in the modules; half precision is computed in float32, where mmcv's
          kernels refuse or round
"""

from mmext.ops.table import sources

__all__ = ["sources"]
