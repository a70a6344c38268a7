"""A result as a flat mapping of names to numbers, its text, and what differs from the text.

Words are left out, so that a sentence may be mended without a number seeming to move: strings
count only where every cell of a column is a code (one word, such as a flag or a label).
"""

import contextlib
import dataclasses
import inspect
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import outcomekpi as ok

EXPECTED = Path(__file__).parent / "expected"
DIGITS = 12
TOLERANCE = 1e-9
"""Relative to the largest number of the same column: sums in another order differ by 1e-13."""
LOOSER = {
    "diagnostics.": 1e-6,  # how much is left after Newton's last step: a difference near zero
    "beta_binomial": 1e-6,  # a likelihood is flat at its top: an optimizer stops beside it
    "variants": 1e-3,  # AR(2) noise by BFGS, which stops at a gradient of 1e-5
    "[width]": 1e-3,  # the same, in the check that compares the variants
    "bounds[": 1e-3,  # HonestDiD searches the shortest interval and stops within 3e-5 of it
    "smoothness": 1e-3,  # the same
    "forecast": 1e-7,  # autocorrelation integrated on a grid that begins at an optimum
    "InterruptedSeries": 1e-7,  # the same
}
"""Word in a call or a name -> tolerance where other kernels of BLAS move a number further."""
SHORT = 8
"""Up to so many numbers are written out; of longer columns n and a summary."""
TABLES = ("to_frame", "summary", "totals")
"""Methods that give tables, beside all whose name ends with ``_frame``."""
TOLD = {("PilotEffect", "answer"): ("findings", "checklist")}
"""Field of a record that is only read by telling it -> what tells it."""
OPENED = ("Findings", "CheckResult")
"""Records within a result that are opened; the numbers of others stand where they were made."""


def values_of(run):
    """Run a call and flatten its result; few draws of NUTS warn of themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ok.OutcomeKPIWarning)
        return flatten(run())


def flatten(result):
    """Name -> number, list of numbers or codes, or summary of a long column.

    Records give their tables and the numbers in their fields; a name says the way to a number.
    """
    found = {}
    _walk(found, "", result, top=True)
    seen = []
    for name, value in list(found.items()):
        if isinstance(value, dict) and value in seen:
            del found[name]  # a long column that a record holds twice is written once
        seen.append(value)
    return found


def _walk(found, name, value, *, top=False):
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        found[name] = _number(value)
    elif isinstance(value, pd.DataFrame):
        _walk_frame(found, name, value)
    elif isinstance(value, pd.Series | pd.Index | np.ndarray | xr.DataArray):
        _add_column(found, name, np.asarray(value))
    elif dataclasses.is_dataclass(value) and (top or type(value).__name__ in OPENED):
        _walk_record(found, name, value)
    else:
        for part, one in _parts(value):
            _walk(found, f"{name}.{part}" if name else part, one)


def _parts(value):
    """Names and values of the parts of a tree, a mapping or a sequence."""
    if isinstance(value, xr.DataTree):
        for path, node in value.subtree_with_keys:
            yield from ((f"{path}/{key}", array) for key, array in node.data_vars.items())
    elif isinstance(value, Mapping):
        yield from ((str(key), one) for key, one in value.items())
    elif isinstance(value, list | tuple):
        if value and all(isinstance(one, bool | int | float | np.number) for one in value):
            value = [np.asarray(value)]
        yield from ((str(place), one) for place, one in enumerate(value))


def _walk_record(found, name, record):
    start = f"{name}." if name else ""
    tables = [m for m in dir(record) if m in TABLES or (m.endswith("_frame") and m[0] != "_")]
    for method in filter(lambda m: callable(getattr(record, m)), tables):
        with contextlib.suppress(ok.SpecError):  # a table that this result does not have
            _walk(found, start + method, getattr(record, method)())
    if "level" in inspect.signature(getattr(record, "to_frame", len)).parameters:
        _walk(found, start + "to_frame 50 %", record.to_frame(level=0.5))
    for one in dataclasses.fields(record):
        for name in TOLD.get((type(record).__name__, one.name), (one.name,)):
            _walk(found, start + name, getattr(record, name))


def _walk_frame(found, name, frame):
    if not isinstance(frame.index, pd.RangeIndex):
        for level in range(frame.index.nlevels):
            _add_column(found, f"{name}[{level}]", frame.index.get_level_values(level).to_numpy())
    for column in frame.columns:
        label = " ".join(map(str, column)) if isinstance(column, tuple) else str(column)
        _add_column(found, f"{name}[{label}]", frame[column].to_numpy())


def _add_column(found, name, values):
    values = np.ravel(values)
    if values.dtype.kind == "M":
        values = values.astype("M8[s]").astype(float)
    if values.dtype.kind not in "biuf":
        as_numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(float)
        words = [str(one) for one in values]
        if (np.isnan(as_numbers) <= pd.isna(values)).all() and len(values):
            values = as_numbers
        elif any(" " in word for word in words):
            return
        else:
            found[name] = words if len(words) <= SHORT else _count_codes(words)
            return
    values = values.astype(float)
    if values.size <= SHORT:
        found[name] = [_number(one) for one in values]
    else:
        found[name] = _summarize(values)


def _count_codes(words):
    """Number of each code, and the sum of the places where it stands."""
    places = pd.Series(range(len(words))).groupby(words).agg(["size", "sum"])
    if len(places) > SHORT:
        return {"n": len(words), "codes": len(places), "first": words[0], "last": words[-1]}
    return {word: [int(n), int(total)] for word, (n, total) in places.iterrows()}


def _summarize(values):
    """Return n and mean, SD, least, greatest, first, last and tilt of a long column.

    The tilt is the mean with weights from 0 to 2: it moves when values change places.
    """
    there = values[np.isfinite(values)]
    if not there.size:
        return {"n": values.size, "missing": values.size}
    tilt = np.mean(there * np.linspace(0, 2, there.size))
    numbers = there.mean(), there.std(), there.min(), there.max(), there[0], there[-1], tilt
    size = {"n": values.size}
    if there.size < values.size:
        size["missing"] = values.size - there.size
    return {**size, "summary": [_number(one) for one in numbers]}


def _number(value):
    """A float with twelve digits; not-a-number and infinity as words, which JSON lacks."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not math.isfinite(value):
        return str(float(value))
    short = float(f"{float(value):.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def differences(found, expected, *, call=""):
    """Lines that say which names are gone, which are new and which numbers moved how far."""
    lines = [f"{name}: gone" for name in expected if name not in found]
    lines += [f"{name}: new" for name in found if name not in expected]
    for name in expected:
        if name in found and not _alike(found[name], expected[name], _tolerance(call, name)):
            lines.append(f"{name}: {found[name]}, was {expected[name]}")
    return lines


def _tolerance(call, name):
    return max((t for word, t in LOOSER.items() if word in f"{call} {name}"), default=TOLERANCE)


def _alike(found, expected, tolerance):
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and list(found) == list(expected)
            and all(_alike(found[key], expected[key], tolerance) for key in expected)
        )
    found, expected = _listed(found), _listed(expected)
    scale = max((abs(one) for one in expected if isinstance(one, int | float)), default=0.0)
    return len(found) == len(expected) and all(
        abs(a - b) <= tolerance * scale
        if isinstance(a, int | float) and isinstance(b, int | float)
        else a == b
        for a, b in zip(found, expected, strict=True)
    )


def _listed(value):
    return value if isinstance(value, list) else [value]


def read_room(room):
    """Expected values of a room: call -> name -> values."""
    return json.loads((EXPECTED / f"{room}.json").read_text(encoding="utf-8"))


def write_room(room, results):
    """Write the values of a room, one name a line, so that a difference can be read."""
    calls = []
    for call, values in results.items():
        lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()]
        calls.append(f"{json.dumps(call)}: {{\n" + ",\n".join(lines) + "\n}")
    text = "{\n" + ",\n".join(calls) + "\n}\n"
    (EXPECTED / f"{room}.json").write_text(text, encoding="utf-8")
