"""Outcome-based evaluation of doctors: one posterior for rates, ranks, flags and reliability.

Every name below is imported when it is first used, so that ``import outcomekpi`` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outcomekpi import datasets
    from outcomekpi.adjustment.fit import Fit, fit
    from outcomekpi.adjustment.priors import (
        Exponential,
        Flat,
        GammaPrecision,
        HalfNormal,
        HalfStudentT,
        Normal,
        Priors,
        Uniform,
    )
    from outcomekpi.adjustment.spec import ModelSpec
    from outcomekpi.cases import Cases
    from outcomekpi.checks import CheckResult
    from outcomekpi.errors import (
        CasesError,
        EngineError,
        FormulaError,
        OutcomeKPIError,
        OutcomeKPIWarning,
        SpecError,
        StorageError,
    )
    from outcomekpi.intervals import DEFAULT_LEVEL
    from outcomekpi.provenance import Provenance, cite

    __version__: str

__all__ = [
    "DEFAULT_LEVEL",
    "Cases",
    "CasesError",
    "CheckResult",
    "EngineError",
    "Exponential",
    "Fit",
    "Flat",
    "FormulaError",
    "GammaPrecision",
    "HalfNormal",
    "HalfStudentT",
    "ModelSpec",
    "Normal",
    "OutcomeKPIError",
    "OutcomeKPIWarning",
    "Priors",
    "Provenance",
    "SpecError",
    "StorageError",
    "Uniform",
    "__version__",
    "cite",
    "datasets",
    "fit",
]

_HOME = {
    "Cases": "cases",
    "CheckResult": "checks",
    "DEFAULT_LEVEL": "intervals",
    "Fit": "adjustment.fit",
    "ModelSpec": "adjustment.spec",
    "Provenance": "provenance",
    "cite": "provenance",
    "fit": "adjustment.fit",
    **dict.fromkeys(
        (
            "CasesError",
            "EngineError",
            "FormulaError",
            "OutcomeKPIError",
            "OutcomeKPIWarning",
            "SpecError",
            "StorageError",
        ),
        "errors",
    ),
    **dict.fromkeys(
        (
            "Exponential",
            "Flat",
            "GammaPrecision",
            "HalfNormal",
            "HalfStudentT",
            "Normal",
            "Priors",
            "Uniform",
        ),
        "adjustment.priors",
    ),
}
"""Public name -> the module it lives in."""


class _Package(ModuleType):
    """Keeps ``outcomekpi.report`` the verb.

    The import system binds a room to its parent when it is first imported, and would put the
    room ``report`` where the public function of that name belongs.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "report" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("outcomekpi")
    elif name == "datasets":
        value = import_module("outcomekpi.datasets")
    elif name in _HOME:
        value = getattr(import_module(f"outcomekpi.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
