"""What a comparison with a change of each doctor's own says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.before_after_checks import describe_missing
from outcomekpi.pilots.designs.before_after_facts import (
    ChangeAnswer,
    say,
    spell_clustering,
    spell_entries,
    spell_power,
    spell_units,
)
from outcomekpi.pilots.designs.doctor_changes import (
    DoctorChanges,
    divide_variance,
    tabulate_doctors,
)
from outcomekpi.pilots.estimators.doctor_change_draws import ChangeData, ChangeDraws
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Fact
from outcomekpi.tables.columns import count_of

__all__ = [
    "DoctorAnswer",
    "answer_facts",
    "check_doctors",
    "list_doctor_estimates",
    "state_assumptions",
    "state_estimand",
    "tabulate",
]

Floats = NDArray[np.float64]
FEW_DOCTORS = 8
"""Below these the prior says much of how doctors differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorAnswer:
    """What was asked, and everything that was found.

    Attributes
    ----------
    plain : the estimates, with the plain comparison that bounds and corrections rest on
    data, draws, changes : what the model was given, its posterior, and outcomes from it
    """

    plain: ChangeAnswer
    data: ChangeData
    draws: ChangeDraws
    changes: DoctorChanges

    @property
    def scale(self) -> float:
        """100 for percentage points, else 1."""
        return 100.0 if self.data.binary else 1.0

    def find(self, code: str) -> Estimate:
        """Return the estimate of a code that every such answer has."""
        return next(one for one in self.plain.estimates if one.code == code)


def list_doctor_estimates(
    data: ChangeData, draws: ChangeDraws, changes: DoctorChanges, *, unit: str
) -> tuple[Estimate, ...]:
    """Average change, its ratios, the change at a new doctor, and how much doctors differ."""
    scale = 100.0 if data.binary else 1.0
    kind = "risk difference" if data.binary else "mean difference"
    origin = f"posterior draws, {draws.engine}"

    def drawn(
        name: str, values: Floats, *, of: str = unit, ratio: bool = False, code: str = ""
    ) -> Estimate:
        return Estimate(
            name=name,
            unit="ratio" if ratio else of,
            value=float(values.mean()),
            scale="log" if ratio else "identity",
            draws=values,
            origin=origin,
            code=code,
        )

    before, after = changes.average(changes.before), changes.average(changes.after)
    found = [drawn(f"average {kind}", scale * (after - before))]
    if data.binary:
        found.append(drawn("average risk ratio", after / before, ratio=True))
        odds = after * (1.0 - before) / before / (1.0 - after)
        found.append(drawn("average odds ratio", odds, ratio=True))
    found.append(
        drawn(
            f"{kind} at a new doctor",
            scale * (changes.new_after - changes.new_before),
            code="new_doctor",
        )
    )
    spread = scale * changes.by_doctor.std(axis=0, ddof=1)
    found.append(drawn("SD of the doctors' changes", spread, code="spread"))
    if data.binary:
        found.append(drawn("SD of the doctors' changes, log odds", draws.sd_change, of="log odds"))
    return tuple(found)


def state_estimand(answer: DoctorAnswer) -> str:
    """Say in one sentence what the main effect is."""
    more = ""
    if answer.plain.corrected is not None:
        more = ", less the change that their selection makes without a program"
    periods = answer.plain.change.rows.periods
    return (
        f"Change of {answer.plain.columns.outcome} from {periods[0]} to {periods[1]} in the "
        f"patients of {count_of(len(answer.data.doctors), 'doctor')}, each at the case mix of his "
        f"own patients of both periods{more}: {answer.plain.main.name} in {answer.plain.main.unit}."
    )


def state_assumptions(answer: DoctorAnswer) -> tuple[str, ...]:
    """List what must hold, each in one sentence."""
    scale = "log odds" if answer.data.binary else "outcome"
    said = [
        "Without the program the outcome would have stayed as it was before.",
        f"Patients differ in nothing that matters but the case mix, which is linear in the {scale} "
        "and the same before and after.",
        f"What doctors add to the {scale}, and how it changes, is normal over doctors.",
    ]
    if answer.draws.engine == "quadrature":
        said.append(
            "Doctors differ as much after as before, and good ones are no worse than the others "
            "after; engine='nuts' does without this."
        )
    if bool(answer.plain.change.rows.stays.any()):
        said.append(
            "The two outcomes of a patient are independent given doctor and case mix; where they "
            "are alike, the interval is wider than it has to be."
        )
    if answer.plain.missing.any:
        said.append("Missing outcomes are like the known ones; the bounds do without this.")
    said.append("Outcome and measurement are the same before and after.")
    if answer.plain.corrected is not None:
        said += answer.plain.corrected.assumptions
    return tuple(said)


def check_doctors(answer: DoctorAnswer, *, level: float) -> tuple[CheckResult, ...]:
    """Check the number of doctors, missing outcomes and what the engine says of itself."""
    both = int(answer.data.seen.all(axis=0).sum())
    numbers = {k: v for k, v in answer.draws.diagnostics.items() if isinstance(v, float | int)}
    shown = ", ".join(
        f"{name.replace('_', ' ')} {numbers[name]:.3g}"
        for name in ("effective_sample_size", "pareto_k", "r_hat_max", "ess_bulk_min",
                     "divergences")
        if name in numbers
    )  # fmt: skip
    checks = [
        CheckResult(
            name="doctors behind the differences",
            passed=both >= FEW_DOCTORS,
            verdict=f"{count_of(both, 'doctor')} with patients before and after; below "
            f"{FEW_DOCTORS} the prior says much of how doctors differ.",
            table=pd.DataFrame({"doctors": [both]}),
        ),
        describe_missing(answer.plain, level=level),
        CheckResult(
            name=f"accuracy of the draws ({answer.draws.engine})",
            passed=None,
            verdict=f"{answer.draws.program.size:,} draws; {shown}.",
            table=pd.DataFrame(
                {"quantity": list(numbers), "value": [float(one) for one in numbers.values()]}
            ),
        ),
    ]
    if answer.plain.corrected is not None:
        checks += answer.plain.corrected.checks
    return tuple(checks)


def tabulate(answer: DoctorAnswer, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the tables: doctor_effects, variance, kitagawa, slope, and those of bounds."""
    doctors = tabulate_doctors(answer.data, answer.changes, scale=answer.scale, level=level)
    total = answer.plain.naive.value
    mix = (
        total - answer.plain.estimates[0].draws
        if answer.plain.estimates[0].draws is not None
        else None
    )
    tables = {
        "doctor_effects": doctors,
        "variance": divide_variance(answer.data, answer.draws, level=level),
        "slope": pd.DataFrame(
            {
                "unit": doctors["doctor"],
                "before": doctors["before"],
                "after": doctors["after"],
                "expected_after": np.nan,
            }
        ),
    }
    if mix is not None:
        parts = {"mix": mix, "within": answer.plain.estimates[0].draws, "total": np.full(2, total)}
        tail = (1.0 - level) / 2.0
        tables["kitagawa"] = pd.DataFrame(
            [
                (name, float(one.mean()), *np.quantile(one, [tail, 1.0 - tail]))
                for name, one in parts.items()
                if one is not None
            ],
            columns=["part", "mean", "lower", "upper"],
        )
    if answer.plain.missing.cases:
        tables["missing_bounds"] = answer.plain.missing.to_frame(level=level)
    if answer.plain.corrected is not None:
        frame = answer.plain.corrected.to_frame(level=level).reset_index()
        tables["regression_to_mean"] = frame
    for table in tables.values():
        table.attrs.update(level=level, unit=answer.plain.unit)
    tables["variance"].attrs.update(unit="% of the variance")
    return tables


def answer_facts(answer: DoctorAnswer, *, level: float) -> Mapping[str, Fact]:
    """Answer the items of the checklist that patients of doctors can answer."""
    change, periods = answer.plain.change, answer.plain.change.rows.periods
    return {
        "program_dates": f"before: {periods[0]}; after: {periods[1]}",
        "units": spell_units(answer.plain),
        "clustering": f"{spell_clustering(change)} by an effect of each doctor",
        "standard_error": answer.plain.main.origin,
        "few_clusters": f"{count_of(len(answer.data.doctors), 'doctor')}; how they differ is "
        "integrated over its posterior, not taken as known",
        "points": "2 periods: 1 before, 1 after",
        "seasonality": None,
        "autocorrelation": None,
        "comparator": "the same doctors' patients before the program; no controls",
        "pre_trend": None,
        "case_mix": _spell_mix(answer),
        "entries_exits": _spell_doctors_seen(answer, level),
        "missing_outcomes": describe_missing(answer.plain, level=level).verdict,
        "main_effect": say(answer.plain.main, level=level),
        "naive_effect": f"{say(answer.plain.naive, level=level)}, with doctors and case mix left "
        "out",
        "sensitivity": _spell_sensitivity(answer, level),
        "heterogeneity": _spell_heterogeneity(answer, level),
        "power": spell_power(answer.plain.main, level=level),
    }


def _spell_mix(answer: DoctorAnswer) -> str:
    main = answer.plain.estimates[0]
    rest = answer.plain.naive.value - main.value
    total = f"{answer.plain.naive.value:.4g} {answer.plain.unit}"
    if answer.plain.columns.case_mix is None:
        return (
            "no case mix was named; of the plain difference "
            f"{total}, {rest:.4g} is other numbers of patients at each doctor"
        )
    return (
        f"adjusted for {answer.plain.columns.case_mix}: of the plain difference {total}, "
        f"{rest:.4g} is patients who changed, or who went to other doctors"
    )


def _spell_doctors_seen(answer: DoctorAnswer, level: float) -> str:
    seen = answer.data.seen
    both = int(seen.all(axis=0).sum())
    left, entered = int((seen[0] & ~seen[1]).sum()), int((~seen[0] & seen[1]).sum())
    said = f"{both:,} doctors have patients in both periods, {entered:,} came and {left:,} left"
    if "patient" in answer.plain.change.rows.labels:
        said += f"; {spell_entries(answer.plain, level=level)}"
    return said


def _spell_sensitivity(answer: DoctorAnswer, level: float) -> str:
    new = answer.find("new_doctor")
    said = [f"for doctors who are not in the data: {say(new, level=level)}"]
    if answer.plain.corrected is not None:
        said.append(f"without the correction: {say(answer.plain.estimates[0], level=level)}")
    if answer.plain.missing.bounds is not None:
        said.append(f"missing outcomes: {answer.plain.missing.bounds.origin}")
    return "; ".join(said)


def _spell_heterogeneity(answer: DoctorAnswer, level: float) -> str:
    change = answer.scale * answer.changes.by_doctor
    up = (change > 0).mean(axis=1)
    spread = answer.find("spread")
    variance = divide_variance(answer.data, answer.draws, level=level)
    shares = ", ".join(f"{row.source} {row.mean:.3g} %" for row in variance.itertuples())
    said = (
        f"{say(spread, level=level)}; changes from {change.mean(axis=1).min():.4g} to "
        f"{change.mean(axis=1).max():.4g} {answer.plain.unit}; up with a probability above "
        f"{100 * level:.4g} % at {int((up > level).sum()):,} of {len(up):,} doctors, down at "
        f"{int((1.0 - up > level).sum()):,}; "
        f"variance: {shares}"
    )
    hospital = answer.data.hospital
    if hospital is None or len(answer.data.hospitals) < 2:
        return said
    between = _between_hospitals(answer.changes.by_doctor, hospital)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(between, [tail, 1.0 - tail])
    return (
        f"{said}; of the differences between the doctors' changes {100 * between.mean():.3g} % "
        f"({100 * low:.3g} to {100 * high:.3g} %) lie between hospitals"
    )


def _between_hospitals(change: Floats, hospital: NDArray[np.intp]) -> Floats:
    """(draw,), share of the variance of doctors' changes that lies between hospital means."""
    count = np.bincount(hospital).astype(np.float64)
    sums = np.zeros((count.size, change.shape[1]))
    np.add.at(sums, hospital, change)
    means = sums / np.maximum(count, 1.0)[:, None]
    away = means - change.mean(axis=0)
    total = change.var(axis=0) * change.shape[0]
    return np.asarray((count @ away**2) / np.where(total > 0, total, 1.0))
