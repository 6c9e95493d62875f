"""Action recognition parts. Host: mmaction2. The papers are listed in :mod:`mmext.action.papers`."""
