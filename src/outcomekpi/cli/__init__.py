"""The command line: `outcomekpi ...`, one file per command."""

from outcomekpi.cli.parser import main

__all__ = ["main"]
