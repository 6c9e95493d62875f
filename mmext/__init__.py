"""mmext: ideas from papers as small, tested parts for OpenMMLab.

A config says ``custom_imports = dict(imports=["mmext"])`` and then ``type="mmext.GFLHead"``.
Importing this package loads no host: parts are loaded on demand (see :mod:`mmext.registry`). It
does apply the repairs of :mod:`mmext.compat`, since some of them must come before a host's first
import, and it warns of an environment that cannot work (see :mod:`mmext.doctor`).
"""

import logging

from mmext.doctor import at_import

at_import.require_python()  # before anything that an old Python cannot read

from mmext import compat  # noqa: E402
from mmext.version import __version__  # noqa: E402

__all__ = ["__version__", "compat"]

compat.repair()
for _sentence in at_import.warnings():
    logging.getLogger("mmext").warning(_sentence)
