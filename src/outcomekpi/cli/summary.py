"""What the command line says when it is done."""

from pathlib import Path
from typing import TYPE_CHECKING

from outcomekpi.cli.wording import reword
from outcomekpi.profiling.evaluation import Evaluation

if TYPE_CHECKING:
    from outcomekpi.cli.pilot import PilotResults
    from outcomekpi.cli.review import ReviewResults

__all__ = ["print_judgment", "print_pilot", "print_review"]


# What the command line says when a review of thresholds is done
REMARKS_AT_MOST = 6


def print_review(results: "ReviewResults", out: Path) -> None:
    """Print the history, what is missing in it, the answer in one line, and where the report is."""
    from outcomekpi.pages.review_answer import answer_review_in_one_line

    print(repr(results.review.history))
    log = results.review.log
    for sentence in log[:REMARKS_AT_MOST]:
        print(f"  {reword(sentence)}")
    if len(log) > REMARKS_AT_MOST:
        print(f"  {len(log) - REMARKS_AT_MOST} more remarks are in the report.")
    if results.mask.note:
        print(f"  {results.mask.note}")
    print(answer_review_in_one_line(results.table))
    print(f"Report: {out / 'report.html'}")


# What the command line says when a pilot has been evaluated
def print_pilot(results: "PilotResults", out: Path) -> None:
    """Print the verdict in one paragraph, and where the report is."""
    from outcomekpi.pages.pilot_answer import answer_pilot_in_one_paragraph

    print(answer_pilot_in_one_paragraph(results.effect, level=results.level))
    print(f"Report: {out / 'report.html'}")


def print_judgment(judgment: Evaluation, out: Path, *, private: Path | None = None) -> None:
    """Print the cases, what was excluded, the flags in one line, and where the report is.

    What is printed is about all doctors, for the eyes of the house.
    """
    print(repr(judgment.fit.cases))
    for sentence in judgment.fit.cases.log:
        print(f"  {sentence}")
    print(repr(judgment.flags))
    benchmark, threshold = judgment.against_benchmark.threshold, judgment.flags.threshold
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
