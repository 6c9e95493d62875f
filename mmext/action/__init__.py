"""Action recognition parts. Host: mmaction2. Papers are listed in :mod:`mmext.action.papers`."""
