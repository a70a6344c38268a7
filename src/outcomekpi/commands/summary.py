"""What the command line says when it is done."""

from pathlib import Path

from outcomekpi.commands.evaluation import Judgment

__all__ = ["print_judgment"]


def print_judgment(judgment: Judgment, out: Path) -> None:
    """Print the cases, what was excluded, the flags in one line, and where the report is."""
    print(repr(judgment.fit.cases))
    for sentence in judgment.fit.cases.log:
        print(f"  {sentence}")
    print(repr(judgment.flags))
    benchmark, threshold = judgment.table.attrs["threshold"], judgment.flags.threshold
    if benchmark != threshold:
        print(
            f"  Flags, and the whole report, are about {threshold:.4g}; p_worse and p_better in "
            f"doctors.csv are about the benchmark, {benchmark:.4g}."
        )
    print(f"Report: {out / 'report.html'}")
