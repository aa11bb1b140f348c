"""With this folder on PYTHONPATH a Python process may open no connection: see `testhub.guard`."""

import importlib.util
from pathlib import Path

# By its path: the package would be imported with all that it needs, in a process that may be timed.
_spec = importlib.util.spec_from_file_location("testhub_guard", Path(__file__).parents[1] / "guard.py")
_guard = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_guard)
_standing = _guard.forbid_connections()  # until the process ends
_standing.__enter__()
