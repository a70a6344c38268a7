"""`outcomekpi pilot`: from published figures or a table to a folder with an honest answer."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from outcomekpi.cli.figures import save_figures
from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.pilot_choices import PilotChoices
from outcomekpi.cli.pilot_wording import reword_pilot, reworded
from outcomekpi.cli.progress import show_progress
from outcomekpi.cli.publishing import refuse_leftovers
from outcomekpi.declare.errors import OutcomeKPIError, OutcomeKPIWarning
from outcomekpi.pages.pilot_document import report_pilot
from outcomekpi.pages.pilot_ledger import sensitivity_table
from outcomekpi.pages.pilot_masking import check_pilot_counts, note_pilot_counts
from outcomekpi.pages.pilot_sketches import draw_pilot
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.robustness.sensitivity import Sensitivity, sensitivity
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PilotResults", "effect_table", "evaluate_pilot"]

N_STEPS = 4
SENSITIVITY_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotResults:
    """Everything that is written, from one pilot.

    Attributes
    ----------
    effect : of the pilot
    sensitivity : what would overturn it; None where that could not be found out
    notes : what was warned of while it was estimated
    level : probability of the intervals
    publication_note : what was made sure of before publication
    """

    effect: PilotEffect
    sensitivity: Sensitivity | None
    notes: tuple[str, ...]
    level: float
    publication_note: str = ""


def evaluate_pilot(
    path: Path | None, *, choices: PilotChoices, out: Path, marks: FileMarks | None = None
) -> PilotResults:
    """Evaluate a pilot and write a folder of results.

    Parameters
    ----------
    path : CSV or Parquet file; None where the figures are in ``choices``
    choices : figures or design, program, output
    out : folder to write; it appears only when everything in it is complete
    marks : how the cells of the file are written

    Raises
    ------
    OutcomeKPIError
        In the words of the command line.
    """
    check_folder(out)
    with show_progress(N_STEPS) as step:
        try:
            step("Reading")
            data: object = choices.figures
            if path is not None:
                data = read_table(path, text_columns=choices.labels, marks=marks)
            step("Estimating")
            effect, notes = _estimate(data, choices)
            check_pilot_counts(data, choices.design, below=choices.suppress_below)
        except OutcomeKPIError as error:
            raise reworded(error) from error
        step("Trying to overturn it")
        found, trouble = _try_to_overturn(effect, data, choices)
        results = PilotResults(
            effect=effect,
            sensitivity=found,
            notes=(*notes, *trouble),
            level=choices.level,
            publication_note=note_pilot_counts(data, below=choices.suppress_below),
        )
        step("Drawing and reporting")
        with write_folder(out) as folder:
            _write_files(results, folder, title=choices.title)
            if choices.suppress_below is not None:
                refuse_leftovers(folder, out)
    for note in results.notes:
        warnings.warn(note, OutcomeKPIWarning, stacklevel=2)
    return results


def _estimate(data: object, choices: PilotChoices) -> tuple[PilotEffect, tuple[str, ...]]:
    """Estimate the effect, and keep what was warned of, which belongs on the page."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OutcomeKPIWarning)
        effect = compare_pilot(
            data,
            choices.design,
            program=choices.program,
            draws=choices.draws,
            seed=choices.seed,
        )
    return effect, tuple(dict.fromkeys(reword_pilot(str(one.message)) for one in caught))


def _try_to_overturn(
    effect: PilotEffect, data: object, choices: PilotChoices
) -> tuple[Sensitivity | None, tuple[str, ...]]:
    """Find what would overturn the effect; an effect that cannot be tried is still an effect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = sensitivity(
                effect,
                None if choices.quick and choices.figures is None else data,
                draws=min(choices.draws, SENSITIVITY_DRAWS),
                seed=choices.seed,
            )
        except OutcomeKPIError as error:
            return None, (f"What would overturn the effect could not be tried: {error}",)
    return found, ()


def effect_table(effect: PilotEffect, *, level: float) -> pd.DataFrame:
    """Every estimate in one row, as in ``effect.csv``.

    Returns
    -------
    DataFrame: ``estimate``; ``role`` ("main", "other" or "plain", the difference that would have
    been published); ``unit``, ``mean``, ``lower``, ``upper``, ``level``, ``null``, ``origin``.
    """
    frame = effect.to_frame(level=level).reset_index()
    frame.insert(1, "role", "other")
    frame.loc[0, "role"] = "main"
    frame.loc[len(frame) - 1, "role"] = "plain"
    frame.insert(6, "level", level)
    return frame


def _write_files(results: PilotResults, folder: Path, *, title: str | None) -> None:
    effect = results.effect
    write_csv(effect_table(effect, level=results.level), folder / "effect.csv")
    found = results.sensitivity
    if found is not None:
        effect = found.add_to(effect)
    write_csv(sensitivity_table(effect, found, level=results.level), folder / "sensitivity.csv")
    write_csv(effect.checklist_at(results.level), folder / "checklist.csv")
    (folder / "tables").mkdir()
    for name, table in effect.findings_at(results.level).tables.items():
        flat = table.reset_index() if table.index.name is not None else table
        write_csv(flat, folder / "tables" / f"{name}.csv")
    plots: dict[str, Callable[[], Axes]] = {
        name: partial(draw, None) for name, draw in draw_pilot(effect, level=results.level).items()
    }
    save_figures(folder / "figures", plots)
    report_pilot(
        results.effect,
        found,
        path=folder / "report.html",
        title=title,
        level=results.level,
        notes=results.notes,
        publication_note=results.publication_note,
    )
    record = effect.provenance.to_json()
    (folder / "provenance.json").write_text(record, encoding="utf-8")
