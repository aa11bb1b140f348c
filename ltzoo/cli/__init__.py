"""The command line: one file per noun or verb, each imported only when it is called."""

from ltzoo.cli.main import main

__all__ = ["main"]
