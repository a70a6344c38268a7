"""What the command line says when a review of thresholds is done."""

from pathlib import Path

from outcomekpi.cli.review import ReviewResults
from outcomekpi.cli.wording import reword
from outcomekpi.pages.review_answer import answer_review_in_one_line

__all__ = ["print_review"]

REMARKS_AT_MOST = 6


def print_review(results: ReviewResults, out: Path) -> None:
    """Print the history, what is missing in it, the answer in one line, and where the report is."""
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
