"""Which options each design of a pilot knows, and how they become the design."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.pilots.data.series_interruptions import Interruption
from outcomekpi.pilots.designs.selected_baseline import BaselineSelection, Selection
from outcomekpi.pilots.designs.selected_doctors import UnitSelection
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.ladder.findings import Design

__all__ = ["DESIGNS", "DesignOptions", "build_design"]

SELECTION = (
    *("cutoff", "side", "second_baseline", "baseline", "target", "population_mean"),
    *("population_sd", "reliability", "chosen", "chosen_by"),
)
SERIES = {
    **{name: name for name in ("outcome", "time", "start", "trials", "exposure", "family")},
    **{name: name for name in ("method", "order", "horizon", "gaps", "direction")},
    "shape": "change",
    "ramp_up_periods": "ramp_up",
    "outcome_unit": "unit",
    "adjust": "covariates",
    "season": "seasonality",
    "harmonics": "",
    "other_interruptions": "",
    "other_shape": "",
    "range": "outcome_range",
    **{name: name for name in ("time_unit", "time_zone")},
}
PATIENTS = {
    **{name: name for name in ("outcome", "after", "start", "doctor", "hospital", "patient")},
    **{name: name for name in ("family", "event", "direction", "time_unit", "time_zone")},
    "time": "period",
    "adjust": "case_mix",
    "outcome_unit": "unit",
    **dict.fromkeys(SELECTION, ""),
}
PANEL = {
    **{name: name for name in ("outcome", "unit", "time", "start", "trials", "rows", "gaps")},
    **{name: name for name in ("outcome_unit", "direction", "selected_in")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignOptions:
    """The options of one design.

    Attributes
    ----------
    fields : option -> field of the design; empty for options that are put together with others
    needed : options without which the design cannot be
    """

    fields: Mapping[str, str]
    needed: tuple[str, ...]


DESIGNS: dict[str, DesignOptions] = {
    "before-after": DesignOptions(
        fields={
            **PATIENTS,
            "compare": "patients",
            "standard": "standard",
            "range": "outcome_range",
            "cluster": "cluster",
            "inference": "inference",
        },
        needed=("outcome", "time", "direction"),
    ),
    "controlled-before-after": DesignOptions(
        fields={
            **{name: field for name, field in PATIENTS.items() if field and name != "hospital"},
            **{name: name for name in ("group", "treated", "assigned", "cluster")},
            "compare": "patients",
            "range": "outcome_range",
        },
        needed=("outcome", "time", "group", "treated", "direction"),
    ),
    "doctor-effects": DesignOptions(
        fields={**PATIENTS, "engine": "engine"},
        needed=("outcome", "time", "doctor", "direction"),
    ),
    "interrupted": DesignOptions(fields=SERIES, needed=("outcome", "time", "start", "direction")),
    "controlled": DesignOptions(
        fields={
            **SERIES,
            **{name: name for name in ("control", "control_trials", "control_exposure")},
            "control_as": "control_as",
        },
        needed=("outcome", "time", "start", "control", "direction"),
    ),
    "synthetic": DesignOptions(
        fields={**PANEL, "method": "method"},
        needed=("outcome", "unit", "time", "start", "direction"),
    ),
    "did": DesignOptions(
        fields={
            **PANEL,
            **{name: name for name in ("estimator", "family", "cluster", "inference")},
            "weights": "weights",
            "control_group": "control",
            "adjust": "covariates",
        },
        needed=("outcome", "unit", "time", "start", "direction"),
    ),
    "stepped-wedge": DesignOptions(
        fields={
            **{name: name for name in ("outcome", "unit", "time", "start", "trials", "patients")},
            **{name: name for name in ("event", "family", "correlation", "inference", "missing")},
            "exposure_effect": "effect",
            "outcome_unit": "measured_in",
            "direction": "direction",
        },
        needed=("outcome", "unit", "time", "start", "direction"),
    ),
}
"""Design, as it is typed -> its options."""

HINTS = {
    ("did", "doctor"): "Name doctors by --unit.",
    ("did", "hospital"): "Name hospitals by --unit, or by --cluster.",
    ("did", "patient"): "Rows of patients are told by --rows patients.",
    ("synthetic", "doctor"): "Name doctors by --unit.",
    ("synthetic", "hospital"): "Name hospitals by --unit.",
    ("stepped-wedge", "hospital"): "Name the clusters by --unit.",
    ("before-after", "unit"): "Name doctors by --doctor, hospitals by --hospital.",
    ("doctor-effects", "unit"): "Name doctors by --doctor.",
    ("before-after", "control"): "With a group of patients without the program, use --design "
    "controlled-before-after.",
    ("before-after", "group"): "With a group of patients without the program, use --design "
    "controlled-before-after.",
    ("controlled-before-after", "control"): "Name the column of both groups by --group, the one "
    "with the program by --treated.",
    ("controlled-before-after", "unit"): "Name the column of the two groups by --group.",
}


def build_design(options: argparse.Namespace) -> Design:
    """Make the design that was typed.

    Raises
    ------
    SpecError
        An unknown design, an option that is needed or does not belong to it; or what the design
        itself refuses.
    """
    check_choice("design", options.design, DESIGNS)
    known = DESIGNS[options.design]
    typed = {name: value for name, value in vars(options).items() if name in all_options()}
    given = {name: value for name, value in typed.items() if value is not None}
    _check_given(options.design, known, given)
    fields: dict[str, Any] = {
        field: given[name] for name, field in known.fields.items() if field and name in given
    }
    if "covariates" in fields:
        fields["covariates"] = _read_columns(str(fields["covariates"]))
    if "selected_in" in fields:
        fields["selected_in"] = tuple(fields["selected_in"])
    if "outcome_range" in fields:
        fields["outcome_range"] = tuple(fields["outcome_range"])
    if "season" in given:
        fields["seasonality"] = Seasonality(
            period=given["season"], harmonics=given.get("harmonics", 2)
        )
    elif "harmonics" in given:
        raise SpecError("--harmonics belongs to --season, the number of points in a cycle.")
    if "other_interruptions" in given:
        shape = given.get("other_shape", "level and slope")
        fields["other_interruptions"] = tuple(
            Interruption(start=time, change=shape) for time in given["other_interruptions"]
        )
    elif "other_shape" in given:
        raise SpecError("--other-shape belongs to --other-interruptions.")
    selection = _read_selection(given)
    if selection is not None:
        fields["selection"] = selection
    return _maker(options.design)(**fields)


def all_options() -> set[str]:
    """Every option that any design knows."""
    return {name for design in DESIGNS.values() for name in design.fields}


def _check_given(design: str, known: DesignOptions, given: Mapping[str, object]) -> None:
    for name in given:
        if name not in known.fields:
            others = [other for other, one in DESIGNS.items() if name in one.fields]
            raise SpecError(
                f"{_spell(name)} does not belong to --design {design}; it belongs to "
                f"{', '.join(others)}. {HINTS.get((design, name), '')}".strip()
            )
    missing = [_spell(name) for name in known.needed if name not in given]
    if missing:
        raise SpecError(f"--design {design} needs {', '.join(missing)}.")


def _spell(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _read_columns(formula: str) -> tuple[str, ...]:
    """Columns of a formula that only adds them up."""
    names = tuple(part.strip().strip("`") for part in formula.split("+"))
    if not all(names) or any(set(name) & set("()*:^") for name in names):
        raise SpecError(
            f"This design takes columns joined by +, as --adjust 'age + share_female'; got "
            f"{formula!r}. Compute others in the table first."
        )
    return names


def _read_selection(given: Mapping[str, Any]) -> Selection | None:
    """Put together how patients or doctors were selected on their baseline."""
    if "chosen" in given:
        extra = [name for name in SELECTION[:8] if name in given]
        if extra:
            raise SpecError(
                f"--chosen tells of doctors that were picked, {_spell(extra[0])} of patients: one "
                "of the two."
            )
        return UnitSelection(chosen=given["chosen"], by=given.get("chosen_by", "doctor"))
    if not any(name in given for name in SELECTION):
        return None
    if "chosen_by" in given:
        raise SpecError("--chosen-by belongs to --chosen COLUMN.")
    missing = [_spell(name) for name in ("cutoff", "side") if name not in given]
    if missing:
        raise SpecError(f"Patients who were selected by a reading need {' and '.join(missing)}.")
    population = None
    if "population_mean" in given:
        population = BaselinePopulation(
            mean=given["population_mean"],
            sd=given.get("population_sd"),
            reliability=given.get("reliability"),
        )
    elif "population_sd" in given or "reliability" in given:
        raise SpecError("--population-sd and --reliability need --population-mean.")
    return BaselineSelection(
        cutoff=given["cutoff"],
        side=given["side"],
        population=population,
        second_baseline=given.get("second_baseline"),
        baseline=given.get("baseline"),
        target=given.get("target"),
    )


def _maker(design: str) -> Callable[..., Design]:
    """Import the design that is wanted, and no other."""
    if design == "before-after":
        from outcomekpi.pilots.designs.before_after import BeforeAfter

        return BeforeAfter
    if design == "controlled-before-after":
        from outcomekpi.pilots.designs.controlled_before_after import ControlledBeforeAfter

        return ControlledBeforeAfter
    if design == "doctor-effects":
        from outcomekpi.pilots.designs.doctor_effects import DoctorEffects

        return DoctorEffects
    if design == "interrupted":
        from outcomekpi.pilots.designs.interrupted import InterruptedSeries

        return InterruptedSeries
    if design == "controlled":
        from outcomekpi.pilots.designs.controlled import ControlledSeries

        return ControlledSeries
    if design == "synthetic":
        from outcomekpi.pilots.designs.synthetic import SyntheticControl

        return SyntheticControl
    if design == "did":
        from outcomekpi.pilots.designs.did import DifferenceInDifferences

        return DifferenceInDifferences
    from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge

    return SteppedWedge
