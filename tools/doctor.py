"""Look at the environment and say what is wrong and what cures it: python tools/doctor.py.

The same as ``mmext doctor``, also where mmext or anything else is broken, and on an old Python: the
doctor's folder is loaded past mmext's own ``__init__``.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In a checkout the package is beside tools/; in an installed wheel tools/ lies in the package's
# folder .mim.
PACKAGE = HERE.parents[1] if HERE.parent.name == ".mim" else HERE.parent / "mmext"

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location(
        "mmext_doctor", str(PACKAGE / "doctor" / "__init__.py")
    )
    doctor = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["mmext_doctor"] = doctor
    spec.loader.exec_module(doctor)  # type: ignore[union-attr]
    sys.exit(doctor.main())
