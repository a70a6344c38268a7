"""The versions that compute here, and whether they are those that a notebook was executed with."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import overload

from outcomekpi.declare.errors import SpecError, StorageError
from outcomekpi.lineage.origins import Provenance, installed_versions

__all__ = ["Environment", "provenance"]

SHOWN = ("numpy", "scipy", "pandas", "pymc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Versions of everything that can change a number on this machine.

    Attributes
    ----------
    versions : package -> version, Python first; packages that are not installed are left out
    executed_with : the same, of the machine that numbers are compared with, or None
    """

    versions: dict[str, str]
    executed_with: dict[str, str] | None = None

    @property
    def differences(self) -> dict[str, tuple[str | None, str | None]]:
        """Package -> (version there, version here), where they differ; None where it is absent."""
        there = {} if self.executed_with is None else self.executed_with
        names = [] if self.executed_with is None else list(dict.fromkeys([*self.versions, *there]))
        both = {name: (there.get(name), self.versions.get(name)) for name in names}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]}

    @property
    def versions_line(self) -> str:
        """One sentence: the same versions, or which differ; empty if there is nothing to compare.

        ``"Same versions as executed."`` or
        ``"Executed with numpy 2.4.1, here 2.5.0: last digits may differ."``
        """
        if self.executed_with is None:
            return ""
        if not self.differences:
            return "Same versions as executed."
        parts = [_compare(name, *pair) for name, pair in self.differences.items()]
        return f"Executed {'; '.join(parts)}: last digits may differ."

    def to_json(self) -> str:
        """Return the versions as indented JSON, as ``provenance(executed_with=...)`` reads it."""
        return json.dumps({"versions": self.versions}, indent=2, ensure_ascii=False) + "\n"

    def __repr__(self) -> str:
        python = f"Python {self.versions.get('python', 'unknown')}"
        names = ("outcomekpi", *(name for name in SHOWN if name in self.versions))
        shown = [f"{name} {self.versions.get(name, 'unknown')}" for name in names]
        line = f"Environment: {', '.join([*shown, python])}"
        return f"{line}. {self.versions_line}" if self.versions_line else line

    def _repr_html_(self) -> str:
        listed = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        line = f"<p><b>{escape(self.versions_line)}</b></p>" if self.versions_line else ""
        return f"{line}<p>{escape(listed)}</p>"


@overload
def provenance(result: None = None, *, executed_with: str | Path | None = None) -> Environment: ...
@overload
def provenance(result: object, *, executed_with: None = None) -> Provenance: ...
def provenance(
    result: object | None = None, *, executed_with: str | Path | None = None
) -> Environment | Provenance:
    """Say what computed a result, or what computes here and now.

    Parameters
    ----------
    result : a result that keeps its record: a fit, standardized rates, ranks, an effect of a
        pilot, a review; without one, the versions of the running environment are returned
    executed_with : path of the versions that the numbers at hand were computed with, written by
        :meth:`Environment.to_json` or :meth:`Provenance.to_json`; the environment then says in one
        line whether it has the same

    Returns
    -------
    The result's own :class:`Provenance`, or an :class:`Environment`. Neither names a machine.

    Raises
    ------
    SpecError
        The result keeps no record, or a result and a file are given together.
    StorageError
        There is no such file, or it does not hold versions.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> here = ok.provenance()
    >>> here.versions["outcomekpi"] == ok.__version__
    True
    """
    if result is None:
        there = None if executed_with is None else _read_versions(Path(executed_with))
        return Environment(versions=dict(installed_versions()), executed_with=there)
    if executed_with is not None:
        raise SpecError(
            "executed_with compares the running environment with a file; a result has versions of "
            "its own. Leave out one of the two: provenance(result), or "
            "provenance(executed_with=...)."
        )
    record = result if isinstance(result, Provenance) else getattr(result, "provenance", None)
    if not isinstance(record, Provenance):
        raise SpecError(
            f"{type(result).__name__} keeps no provenance of its own. Ask for that of the fit, "
            "review or comparison that it was made from, or call provenance() for the versions "
            "that are installed here."
        )
    return record


def _compare(name: str, there: str | None, here: str | None) -> str:
    if there is None:
        return f"without {name}, here {here}"
    return f"with {name} {there}, here {here or 'none'}"


def _read_versions(path: Path) -> dict[str, str]:
    how = "Write it where the numbers are computed: the text of provenance().to_json()."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"executed_with must be a file of versions; {str(path)!r} cannot be read "
            f"({error.strerror}). {how}"
        ) from error
    except ValueError as error:
        raise StorageError(
            f"executed_with must be JSON; {str(path)!r} is not: {error}. {how}"
        ) from error
    versions = found.get("versions") if isinstance(found, dict) else None
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        raise StorageError(
            f"executed_with must hold 'versions', package by package; {str(path)!r} holds "
            f"{sorted(found) if isinstance(found, dict) else type(found).__name__}. {how}"
        )
    return dict(versions)
