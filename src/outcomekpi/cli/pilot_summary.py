"""What the command line says when a pilot has been evaluated."""

from pathlib import Path

from outcomekpi.cli.pilot import PilotResults
from outcomekpi.pages.pilot_answer import answer_pilot_in_one_paragraph

__all__ = ["print_pilot"]


def print_pilot(results: PilotResults, out: Path) -> None:
    """Print the verdict in one paragraph, and where the report is."""
    print(answer_pilot_in_one_paragraph(results.effect, level=results.level))
    print(f"Report: {out / 'report.html'}")
