"""Command lines with damaged tables, odd values and odd options, made from a seed."""

import datetime
import decimal
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from made_commands import COMMANDS, TABLES

__all__ = ["make_input"]

CELLS = (
    "",
    " ",
    "NA",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e25",
    "1e-320",
    "-1",
    "0",
    "0.5",
    "1",
    "2",
    "99999999999999999999",
    "x",
    "=1+1",
    "@x",
    "a\0b",
    "n" * 300,
    "姓" * 100,
    "\ufeff1",
    "１２",
    "1,5",
    "12%",
    "True",
    "2024-01-01",
    "2024-W05",
    "1 days",
    "b'x'",
    "'",
    '"',
    "`",
    "\\",
    "<b>",
    "\n",
    "\t",
    "None",
    "null",
    "1_000",
    "0x10",
    "1e",
    "é",
    "\u202e",
    "\U0001f600",
    "[1]",
    "{}",
)
NUMBERS = (
    np.nan,
    np.inf,
    -np.inf,
    1e308,
    -1e308,
    1e25,
    1e16,
    1e-320,
    -1.0,
    0.0,
    0.5,
    1.0,
    2.0,
    2.0**53,
)
TEXTS = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "1e308",
    "1e25",
    "nan",
    "inf",
    "-inf",
    "a\0b",
    "n" * 300,
    "=1",
    "..",
    "/",
    "'",
    "`",
    "`a",
    "~",
    "|",
    "age**2",
    "age +",
    "np.load('x')",
    "I(age",
    "died",
    "年龄",
    "\ud800",
    "1" * 400,
    "--",
    "%",
    "{",
    "before",
    "lower",
    "error",
    "yes",
)
NUMERIC = ("0", "-1", "1", "0.5", "1e308", "-1e308", "1e25", "nan", "inf", "1e-320", "x", "", "3")


def make_input(seed, folder):
    """Write one table, or none, and return the arguments of one command.

    Parameters
    ----------
    seed : which input; the same seed makes the same one
    folder : where its files are written
    """
    rng = np.random.default_rng(seed)
    names = list(COMMANDS)
    name = names[int(rng.integers(len(names)))]
    if name in ("did", "doctor-effects") and rng.random() < 0.7:
        name = "before-after"  # the two slow ones less often
    command, table, options = COMMANDS[name]
    argv = shlex.split(options)
    path = []
    if table is not None:
        frame = TABLES[table]()
        for _ in range(int(rng.integers(0, 3))):
            frame = _damage_table(frame, rng)
        path = [str(_write(frame, folder, rng))]
    for _ in range(int(rng.integers(0, 3))):
        argv = _damage_options(command, argv, folder, rng)
    out = str(folder / "out") if rng.random() < 0.97 else _pick(("", ".", "a\0b", "n" * 300), rng)
    return [command, *path, *argv, "--out", out]


def _pick(values, rng):
    return values[int(rng.integers(len(values)))]


def _damage_table(frame, rng):
    kind = int(rng.integers(12))
    column = _pick(list(frame.columns), rng) if len(frame.columns) else None
    if column is None or not len(frame):
        return frame
    if kind == 0:
        return frame.drop(columns=column)
    if kind == 1:
        return frame.head(int(rng.integers(0, 5)))
    if kind == 2:
        return frame.assign(**{column: frame[column].iloc[0]})
    if kind == 3:
        return pd.concat([frame, frame.sample(frac=0.5, random_state=int(rng.integers(99)))])
    if kind == 4:
        return frame.rename(columns={column: _pick(TEXTS, rng)})
    if kind == 5:
        return frame.sample(frac=0.6, random_state=int(rng.integers(99)))
    if kind == 6:
        return frame.assign(**{column: _pick(NUMBERS, rng)})
    values = frame[column].astype(object).copy()
    rows = rng.random(len(frame)) < _pick((0.02, 0.2, 1.0), rng)
    choices = NUMBERS if kind < 9 else CELLS
    values[rows] = [_pick(choices, rng) for _ in range(int(rows.sum()))]
    return frame.assign(**{column: values})


def _write(frame, folder, rng):
    kind = int(rng.integers(10))
    if kind < 5:
        path = folder / "table.csv"
        data = frame.to_csv(index=False).encode("utf-8", "surrogatepass")
        if kind == 4:
            data = _damage_bytes(data, rng)
        path.write_bytes(data)
        return path
    path = folder / "table.parquet"
    try:
        pq.write_table(_arrow_table(frame, rng), path)
    except (pa.ArrowException, ValueError, TypeError, UnicodeError, OverflowError):
        pq.write_table(pa.Table.from_pydict({"x": ["no such table"]}), path)
    if kind == 9:
        path.write_bytes(_damage_bytes(path.read_bytes(), rng))
    return path


def _damage_bytes(data, rng):
    kind = int(rng.integers(5))
    place = int(rng.integers(max(len(data), 1)))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + bytes(rng.integers(0, 256, 20, dtype=np.uint8)) + data[place:]
    if kind == 2:
        return data.decode("utf-8", "replace").encode("utf-16")
    if kind == 3:
        return data.replace(b",", b";")
    return data[:place] + b'"' + data[place:]


def _arrow_table(frame, rng):
    columns = {}
    odd = _pick(list(frame.columns), rng) if len(frame.columns) else None
    for name in frame.columns:
        values = frame[name]
        columns[str(name)] = _odd_array(values, rng) if name == odd else _plain_array(values)
    return pa.table(columns)


def _plain_array(values):
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError):
        return pa.array([str(value) for value in values])


def _odd_array(values, rng):
    n = len(values)
    zone = datetime.timezone(datetime.timedelta(hours=8))
    makers = (
        lambda: _plain_array(values).dictionary_encode(),
        lambda: pa.array([datetime.timedelta(days=i % 3) for i in range(n)]),
        lambda: pa.array([str(value).encode() for value in values], type=pa.binary()),
        lambda: pa.array([i % 2 == 0 for i in range(n)]),
        lambda: pa.array([decimal.Decimal(i % 5) / 2 for i in range(n)]),
        lambda: pa.array([[i] for i in range(n)]),
        lambda: pa.array([{"a": i} for i in range(n)]),
        lambda: pa.array([datetime.datetime(2024, 1 + i % 12, 1, tzinfo=zone) for i in range(n)]),
        lambda: pa.array([datetime.date(2024, 1 + i % 12, 1) for i in range(n)]),
        lambda: pa.nulls(n),
        lambda: pa.array([datetime.time(i % 24) for i in range(n)]),
        lambda: pa.array([2**63 + i for i in range(n)], type=pa.uint64()),
    )
    return _pick(makers, rng)()


def _damage_options(command, argv, folder, rng):
    from outcomekpi.cli.parser import build_parser

    subparsers = next(a for a in build_parser()._actions if a.dest not in ("help", "version"))
    known = [a for a in subparsers.choices[command]._actions if a.option_strings]
    known = [a for a in known if a.dest not in ("help", "out", "draws", "engine")]
    kind = int(rng.integers(4))
    if kind == 0 and len(argv) > 2:
        place = int(rng.integers(len(argv)))
        return argv[:place] + argv[place + 1 :]
    if kind == 1:
        places = [i for i, word in enumerate(argv) if not word.startswith("--")]
        place = _pick(places, rng)
        if argv[place - 1] == "--draws":
            return argv
        return [*argv[:place], _pick(TEXTS, rng), *argv[place + 1 :]]
    action = _pick(known, rng)
    count = action.nargs if isinstance(action.nargs, int) else 1
    if action.dest == "program":
        return [*argv, "--program", str(_write_toml(folder, rng))]
    values = [
        _pick(NUMERIC if action.type is not None else TEXTS, rng)
        if rng.random() < 0.6
        else _pick([word for word in argv if not word.startswith("--")], rng)
        for _ in range(count)
    ]
    return [*argv, action.option_strings[0], *values]


def _write_toml(folder, rng):
    path = folder / "facts.toml"
    texts = (
        "a = " + "[" * 2000 + "]" * 2000,
        "a = " + "{a=" * 2000 + "1" + "}" * 2000,
        "",
        "x",
        "name = 1",
        'name = "' + "n" * 300 + '"',
        "[" + "a." * 2000 + "a]",
        'name = "a\\u0000b"',
        "\0",
        "name = 1e400",
        'other_outcomes = ["a", 1]',
        "selected_on_baseline = true",
        "name = " + "9" * 5000,
        "name = 2024-99-99",
    )
    path.write_text(_pick(texts, rng))
    return path
