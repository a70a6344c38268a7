"""`outcomekpi thresholds`: from a history of indicators to a folder with a review of the bars."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from outcomekpi.cli.figures import save_figures
from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.progress import show_progress
from outcomekpi.cli.publishing import refuse_leftovers
from outcomekpi.cli.review_choices import ReviewChoices, read_history
from outcomekpi.operating.operating import OperatingCharacteristics
from outcomekpi.pages.review_chance import trial_table
from outcomekpi.pages.review_document import write_review
from outcomekpi.pages.review_masking import ReviewMask, mask_history
from outcomekpi.pages.review_trial import true_completion, try_rule
from outcomekpi.plots.operating import plot_operating
from outcomekpi.plots.review import plot_review
from outcomekpi.review.review import ThresholdReview, review_thresholds
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ReviewResults", "review_file"]

N_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReviewResults:
    """Everything that is written, from one history.

    Attributes
    ----------
    review, operating : the review, and what its rule does by chance
    table : one row per indicator, as in ``review.csv``
    mask : what was withheld
    """

    review: ThresholdReview
    operating: OperatingCharacteristics
    table: pd.DataFrame
    mask: ReviewMask


def review_file(
    path: Path, *, choices: ReviewChoices, out: Path, marks: FileMarks | None = None
) -> ReviewResults:
    """Review the indicators in a CSV or Parquet file and write a folder of results.

    Parameters
    ----------
    path : CSV or Parquet file
    choices : columns, rule and judgment
    out : folder to write; it appears only when everything in it is complete
    marks : how the cells of the file are written
    """
    check_folder(out)
    labels = tuple(choices.roles[role] for role in ("indicator", "unit") if role in choices.roles)
    with show_progress(N_STEPS) as step:
        step("Reading")
        history, rule = read_history(read_table(path, text_columns=labels, marks=marks), choices)
        history, mask = mask_history(history, rule.reading, below=choices.suppress_below)
        step("Reviewing")
        review = review_thresholds(
            history, rule, judgment=choices.judgment, draws=choices.draws, seed=choices.seed
        )
        step("Trying the rule")
        results = ReviewResults(
            review=review,
            operating=try_rule(review),
            table=review.to_frame(level=choices.level),
            mask=mask,
        )
        step("Drawing and reporting")
        with write_folder(out) as folder:
            _write_files(results, folder, level=choices.level)
            if mask.below is not None:
                refuse_leftovers(folder, out)
    return results


def _write_files(results: ReviewResults, folder: Path, *, level: float) -> None:
    review, operating = results.review, results.operating
    write_csv(results.table, folder / "review.csv")
    write_csv(review.cycles_frame(level=level), folder / "cycles.csv")
    write_csv(review.ratchet_frame(level=level), folder / "ratchet.csv")
    write_csv(trial_table(operating, level=level), folder / "operating.csv")
    plots: dict[str, Callable[[], Axes]] = {
        "review": lambda: plot_review(review, level=level),
        "operating": lambda: plot_operating(
            operating, stands_for=true_completion(operating), level=level
        ),
    }
    save_figures(folder / "figures", plots)
    write_review(review, operating, path=folder / "report.html", mask=results.mask, level=level)
    record = review.provenance.to_json()
    (folder / "provenance.json").write_text(record, encoding="utf-8")
