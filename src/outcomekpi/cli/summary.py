"""What the command line says when it is done."""

from pathlib import Path

from outcomekpi.cli.evaluation import Judgment

__all__ = ["print_judgment"]


def print_judgment(judgment: Judgment, out: Path, *, private: Path | None = None) -> None:
    """Print the cases, what was excluded, the flags in one line, and where the report is.

    What is printed is about all doctors, for the eyes of the house.
    """
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
    if private is not None:
        print(
            f"Small counts are withheld in {str(out)!r}. The numbers above, and the fit and the "
            f"table of all doctors in {str(private)!r}, must not leave the house."
        )
    print(f"Report: {out / 'report.html'}")
