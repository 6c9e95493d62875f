import mmext  # noqa: F401  its repairs must come before a host's first import
