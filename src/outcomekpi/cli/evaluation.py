"""`outcomekpi evaluate`: from a table of cases to a folder of results."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from outcomekpi.cli.folder import check_folder, write_folder
from outcomekpi.cli.progress import Step, show_progress
from outcomekpi.cli.publishing import Publishing, refuse_leftovers
from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.model.likelihood_model import choose_family
from outcomekpi.model.spec import ModelSpec, check_rate
from outcomekpi.pages.document import write_report
from outcomekpi.pages.publication import Publication, publish, published_table
from outcomekpi.posterior.fit import Engine, fit
from outcomekpi.posterior.storage import save_fit
from outcomekpi.profiling.classification import FlagRule, classify
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.profiling.evaluation import Evaluation, evaluate
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table, write_csv

__all__ = ["Choices", "evaluate_cases", "evaluate_file"]

N_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How cases are to be evaluated, apart from the model.

    Attributes
    ----------
    rule : when a doctor is flagged; without a threshold, against the benchmark
    average_doctor : whose outcomes are expected, as in :func:`outcomekpi.standardize`
    benchmark : rate that ``p_worse`` and ``p_better`` are about; None is the overall rate
    engine, draws, seed : of the fit
    level : probability of every interval
    title : heading of the report; None names the outcome
    publishing : what is withheld, and where what stays in the house is written
    """

    rule: FlagRule = field(default_factory=FlagRule)
    average_doctor: AverageDoctor = "population"
    benchmark: float | None = None
    engine: Engine = "quadrature"
    draws: int = 2000
    seed: int = 20261
    level: float = DEFAULT_LEVEL
    title: str | None = None
    publishing: Publishing = field(default_factory=Publishing)

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, get_args(Engine))
        check_choice("average_doctor", self.average_doctor, get_args(AverageDoctor))
        check_level(self.level)
        if self.benchmark is not None and not isfinite(self.benchmark):
            raise SpecError(f"benchmark must be a finite rate; got {self.benchmark!r}.")


def evaluate_file(
    path: Path,
    *,
    roles: Mapping[str, Any],
    reading: Mapping[str, Any],
    spec: ModelSpec,
    choices: Choices,
    out: Path,
    marks: FileMarks | None = None,
) -> Evaluation:
    """Evaluate the cases in a CSV or Parquet file and write a folder of results.

    Parameters
    ----------
    path : CSV or Parquet file
    roles : role -> column, as :meth:`Cases.from_frame` names them
    reading : its ``direction``, ``event``, ``no_event``, ``missing`` and ``offset_scale``
    spec, choices : the model, and everything else that was chosen
    out : folder to write
    marks : how the cells of the file are written
    """
    check_folder(out)
    if choices.publishing.private is not None:
        check_folder(choices.publishing.private)
    labels = tuple(roles[role] for role in ("doctor", "hospital", "patient") if role in roles)
    with show_progress(N_STEPS) as step:
        step("Reading")
        cases = Cases.from_frame(
            read_table(path, text_columns=labels, marks=marks), **roles, **reading
        )
        return evaluate_cases(cases, spec, choices=choices, out=out, step=step)


def evaluate_cases(
    cases: Cases, spec: ModelSpec, *, choices: Choices, out: Path, step: Step
) -> Evaluation:
    """Fit, judge and write; the folder appears only when everything in it is complete."""
    for name, rate in (("benchmark", choices.benchmark), ("threshold", choices.rule.threshold)):
        if rate is not None:
            check_rate(name, rate, choose_family(cases, spec))
    step("Fitting")
    posterior = fit(cases, spec, engine=choices.engine, draws=choices.draws, seed=choices.seed)
    step("Judging")
    judgment = evaluate(
        posterior,
        choices.rule,
        benchmark=choices.benchmark,
        average_doctor=choices.average_doctor,
    )
    publication, table = _publish(judgment, choices)
    with write_folder(out) as folder:
        step("Checking and reporting")
        _write_files(publication, table, folder, choices)
        if choices.publishing.private is None:
            save_fit(judgment.fit, folder / "fit.nc")
        else:
            refuse_leftovers(folder, out)
            _write_private(judgment, choices.publishing.private, level=choices.level)
    return judgment


def _publish(judgment: Evaluation, choices: Choices) -> tuple[Publication, pd.DataFrame]:
    """Return what may be shown, and its table of doctors; all of it where nothing is withheld."""
    publication = publish(
        judgment.fit,
        judgment.rates,
        judgment.ranks,
        judgment.flags,
        below=choices.publishing.below,
    )
    if publication.mask.shown.all():
        return publication, judgment.to_frame(level=choices.level)
    rule = replace(choices.rule, threshold=choices.benchmark)
    against_benchmark = classify(publication.rates, rule)
    table = published_table(publication, against_benchmark, level=choices.level)
    table["flag"] = publication.flags.flag.to_numpy()
    return publication, table


def _write_files(
    publication: Publication, table: pd.DataFrame, folder: Path, choices: Choices
) -> None:
    write_csv(table, folder / "doctors.csv")
    write_csv(publication.fit.to_frame(level=choices.level), folder / "model.csv")
    (folder / "figures").mkdir()
    write_report(
        publication,
        path=folder / "report.html",
        figures=folder / "figures",
        level=choices.level,
        title=choices.title,
        benchmark=float(table.attrs["threshold"]),
    )
    record = publication.fit.provenance.to_json()
    (folder / "provenance.json").write_text(record, encoding="utf-8")


def _write_private(judgment: Evaluation, private: Path, *, level: float) -> None:
    """Write what is about single patients, or about doctors with few, where it stays."""
    with write_folder(private) as folder:
        save_fit(judgment.fit, folder / "fit.nc")
        write_csv(judgment.to_frame(level=level), folder / "doctors.csv")
