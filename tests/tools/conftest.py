from tests.checkout import REPO, run_script  # noqa: F401  for the tests that still import them from here
