"""mmext: ideas from papers as small, tested parts for OpenMMLab.

A config says ``custom_imports = dict(imports=["mmext"])`` and then ``type="mmext.GFLHead"``.
Importing this package loads no host: parts are loaded on demand (see :mod:`mmext.registry`). It does
apply the repairs of :mod:`mmext.compat`, since some of them must come before a host's first import.
"""

from mmext import compat
from mmext.version import __version__

__all__ = ["__version__", "compat"]

compat.repair()
