"""The command line: `nimriz`. Exit status 0, 1 (said no), 2 (usage)."""

from nimriz.cli.main import main

__all__ = ["main"]
