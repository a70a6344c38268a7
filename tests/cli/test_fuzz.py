"""No input reaches "this should not have happened": damaged tables, odd values, odd options.

Every input is made from its number by `fuzzing.make_input`; a failure names the number.
"""

import contextlib
import io
import re

import pytest
from fuzzing import make_input
from made_commands import COMMANDS, TABLES

from outcomekpi.cli import main

FEW, BLOCK = 300, 50
MANY = 6000
LONGEST = 2000
"""Characters of one message."""


@pytest.fixture
def no_pages(monkeypatch):
    for module, report in (
        ("evaluation", "write_report"),
        ("review", "write_review"),
        ("pilot", "report_pilot"),
    ):
        home = f"outcomekpi.cli.{module}"
        if module != "evaluation":
            monkeypatch.setattr(f"{home}.save_figures", lambda folder, *_, **__: folder.mkdir())
        monkeypatch.setattr(f"{home}.{report}", lambda *_, path, **__: path.write_text("page"))


def complaints(argv, folder):
    """Run one command line; return what is wrong with how it ended."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    lines = err.getvalue().splitlines()
    messages = [line for line in lines if not line.startswith("outcomekpi: note: ")]
    if messages and messages[0].endswith(" faults."):  # one message, whose faults are numbered
        messages = [line for line in messages if not re.match(r"\d+\. |\.\.\. and ", line)]
    wrong = []
    good = (0, 1) if argv[:1] == ["check"] else (0,)  # faults of a table are a result
    if code not in (*good, 2):
        wrong.append(f"exit code {code}")
    if any("should not have happened" in line or "Traceback" in line for line in lines):
        wrong.append("a fault of the program")
    if len(messages) != (code == 2) or not all(m.startswith("outcomekpi: ") for m in messages):
        wrong.append("not one message")
    if any(len(line) > LONGEST for line in lines):
        wrong.append(f"a message of {max(map(len, lines))} characters")
    written = (folder / "out").exists()
    if written != (code in good):
        wrong.append("a folder in spite of the error" if written else "no folder")
    left = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    if left:
        wrong.append(f"{sorted(left)} left behind")
    return [f"{one}: {' '.join(argv)[:300]!r} said {err.getvalue()[:600]!r}" for one in wrong]


def run_all(seeds, tmp_path):
    failures = []
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        failures += [f"input {seed}: {one}" for one in complaints(make_input(seed, folder), folder)]
    assert not failures, "\n".join(failures)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, FEW, BLOCK))
def test_no_input_breaks_the_command_line(first, no_pages, tmp_path):
    run_all(range(first, first + BLOCK), tmp_path)


@pytest.mark.validate
@pytest.mark.parametrize("first", range(10_000, 10_000 + MANY, 500))
def test_no_input_of_thousands_breaks_the_command_line(first, no_pages, tmp_path):
    run_all(range(first, first + 500), tmp_path)


@pytest.mark.validate
def test_no_input_breaks_the_pages(tmp_path):
    run_all(range(30_000, 30_400), tmp_path)


KNOWN = {
    "1e308": lambda values: values.where(values.index != 3, "1e308"),
    "all 1e308": lambda values: values.map(lambda _: "1e308"),
    "1e25": lambda values: values.where(values.index != 3, "1e25"),
    "all 1e25": lambda values: values.map(lambda _: "1e25"),
    "NUL": lambda values: values.where(values.index != 3, "a\0b"),
    "300 bytes": lambda values: values.where(values.index != 3, "n" * 300),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", KNOWN)
@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name][1]])
def test_numbers_and_names_that_broke_it_give_one_message_or_a_result(
    name, damage, no_pages, tmp_path
):
    command, table, options = COMMANDS[name]
    frame = TABLES[table]()
    failures = []
    for column in [column for column in frame.columns if column in options.split()]:
        folder = tmp_path / column
        folder.mkdir()
        odd = frame.assign(**{column: KNOWN[damage](frame[column].astype(object))})
        odd.to_csv(folder / "table.csv", index=False)
        argv = [command, str(folder / "table.csv"), *options.split(), "--out", str(folder / "out")]
        failures += complaints(argv, folder)
    assert not failures, "\n".join(failures)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name][1]])
def test_categories_in_parquet_are_read_like_their_values(name, no_pages, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    command, table, options = COMMANDS[name]
    frame = TABLES[table]()
    plain = pa.Table.from_pandas(frame, preserve_index=False)
    coded = pa.table({key: plain[key].dictionary_encode() for key in plain.column_names})
    frame.astype("category").to_parquet(tmp_path / "pandas.parquet")
    pq.write_table(coded, tmp_path / "arrow.parquet")
    pq.write_table(plain, tmp_path / "plain.parquet")
    failures = []
    for kind in ("plain", "pandas", "arrow"):
        folder = tmp_path / kind
        folder.mkdir()
        path = str(tmp_path / f"{kind}.parquet")
        failures += complaints(
            [command, path, *options.split(), "--out", str(folder / "out")], folder
        )
    assert not failures, "\n".join(failures)
