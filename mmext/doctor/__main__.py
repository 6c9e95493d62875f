"""``python -m mmext.doctor``."""

import sys

from . import main

sys.exit(main())
