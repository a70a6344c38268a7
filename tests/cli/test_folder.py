"""A folder of results appears whole: under kill, Ctrl-C, two runs at once and an old run inside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outcomekpi.cli import folder as folders
from outcomekpi.cli import folder_swap, main
from outcomekpi.cli.folder import claim_folder, write_folder
from outcomekpi.declare.errors import StorageError

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
FILES = ("report.html", "doctors.csv", "figures/one.png", "figures/two.png", "provenance.json")

# a run that writes five files saying which run it is, and stops at a point to be killed there
RUN = """
import json, os, pathlib, shutil, sys, time
from outcomekpi.cli import parser as cli
from outcomekpi.cli import folder
from outcomekpi.cli import folder_swap

point, mark, files = sys.argv[1], sys.argv[2], sys.argv[3].split()

def stop(here):
    if here == point:
        print("at", here, flush=True)
        time.sleep(60)

def around(module, name, before=None, after=None):
    real = getattr(module, name)
    def call(*given, **named):
        stop(before)
        result = real(*given, **named)
        stop(after)
        return result
    setattr(module, name, call)

if point.startswith("between"):
    folder_swap._find_exchange = lambda: None
    real_rename = pathlib.Path.rename
    def rename(self, target):
        done = real_rename(self, target)
        if ".aside-" in str(target):
            stop("between the renames")
        return done
    pathlib.Path.rename = rename
around(folder, "note_files", before="before noting")
around(folder, "carry_over", before="before carrying", after="after carrying")
around(folder, "replace_folder", before="before replacing", after="after replacing")
around(folder, "settle", after="after settling")

def command(options):
    with folder.write_folder(options.out) as staging:
        for name in files:
            (staging / name).parent.mkdir(exist_ok=True)
            text = json.dumps({"run": mark}) if name.endswith(".json") else mark
            (staging / name).write_text(text)
            stop("while writing")
    stop("when done")

cli._demo = command
sys.exit(cli.main(["demo", "results"]))
"""
POINTS = (
    "while writing", "before noting", "before carrying", "after carrying", "before replacing",
    "between the renames", "after replacing", "after settling", "when done",
)  # fmt: skip
PUBLISHED = ("after replacing", "after settling", "when done")


def start(where, mark, *, point="nowhere", files=FILES):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, point, mark, " ".join(files)],
        cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def write(folder, mark, files=FILES):
    with write_folder(folder) as staging:
        for name in files:
            (staging / name).parent.mkdir(exist_ok=True, parents=True)
            (staging / name).write_text(
                json.dumps({"run": mark}) if name.endswith(".json") else mark
            )


def content(folder):
    """Marks of the run in each file."""
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text())["run"]
        if path.suffix == ".json"
        else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(mark, files=FILES):
    return dict.fromkeys(files, mark)


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_ended_leaves_the_old_results_or_the_new(point, how, tmp_path):
    results = tmp_path / "results"
    write(results, "old")
    (results / "my-notes.txt").write_text("mine")
    process = start(tmp_path, "new", point=point, files=(*FILES, "extra.csv"))
    assert process.stdout.readline() == f"at {point}\n"
    process.send_signal(how)
    code, _, err = finish(process)
    mark = "new" if point in PUBLISHED else "old"
    wanted = whole(mark, (*FILES, *(["extra.csv"] if mark == "new" else [])))
    wanted["my-notes.txt"] = "mine"
    in_between = point == "between the renames" and how == signal.SIGKILL
    if in_between:
        assert not results.exists()
    else:
        assert content(results) == wanted
    beside = {path.name for path in tmp_path.iterdir()} - {"results"}
    if how == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130
        assert ("are complete" if mark == "new" else "nothing was written") in err
        assert err.count("\n") == 1
        assert beside == set()
    # the next run finds a folder as if nothing had been, and leaves nothing beside it
    write(results, "next", FILES[:3])
    assert content(results) == whole("next", FILES[:3]) | {"my-notes.txt": "mine"}
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@posix
def test_a_run_that_fails_puts_back_what_a_killed_run_had_moved_aside(tmp_path):
    write(tmp_path / "results", "old")
    process = start(tmp_path, "new", point="between the renames")
    process.stdout.readline()
    process.kill()
    finish(process)
    assert not (tmp_path / "results").exists()
    with claim_folder(tmp_path / "results"):
        pass
    assert content(tmp_path / "results") == whole("old")
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@posix
def test_patient_data_of_a_killed_first_run_is_removed_by_the_next(tmp_path):
    process = start(tmp_path, "patients", point="while writing")
    process.stdout.readline()
    process.kill()
    finish(process)
    left = [
        path for path in tmp_path.rglob("*") if path.is_file() and "patients" in path.read_text()
    ]
    assert left  # nothing can be tidied up after SIGKILL
    other = tmp_path / ".results.partial-mine"  # no name that a run gives
    other.mkdir()
    write(tmp_path / "results", "next")
    assert {path.name for path in tmp_path.iterdir()} == {"results", other.name}


@pytest.mark.slow
@posix
def test_readers_see_the_old_results_or_the_new_at_any_time(tmp_path):
    write(tmp_path / "results", "0")
    stop, seen, torn = time.monotonic() + 4, set(), []
    runs = (start(tmp_path, str(number)) for number in range(1, 1000))
    process = next(runs)
    while time.monotonic() < stop:
        try:
            handle = os.open(tmp_path / "results", os.O_RDONLY)
        except FileNotFoundError:
            torn.append("no folder")
            continue
        marks = set()
        for name in FILES[:4]:
            try:
                file = os.open(name, os.O_RDONLY, dir_fd=handle)
                marks.add(os.read(file, 99))
                os.close(file)
            except FileNotFoundError:
                # the old folder, opened before the exchange, is being removed
                marks.add(None)
        os.close(handle)
        if len(marks - {None}) > 1:
            torn.append(marks)
        seen |= marks
        if process.poll() is not None:
            finish(process)
            process = next(runs)
    process.kill()
    finish(process)
    if folder_swap._find_exchange() is None:
        torn = [one for one in torn if one != "no folder"]
    assert not torn
    assert len(seen - {None}) > 2


@posix
def test_one_run_at_a_time_writes_a_folder(tmp_path):
    first = start(tmp_path, "first", point="while writing")
    first.stdout.readline()
    code, _, err = finish(start(tmp_path, "second"))
    assert code == 2
    assert f"Another run (process {first.pid}) is writing to 'results'" in err
    assert "choose another folder with --out" in err
    assert err.count("\n") == 1
    first.kill()
    finish(first)
    # the lock ended with the process that held it
    write(tmp_path / "results", "third")
    assert content(tmp_path / "results") == whole("third")


@posix
def test_many_runs_at_once_write_one_of_them_whole(tmp_path):
    runs = [start(tmp_path, str(number)) for number in range(4)]
    codes = [finish(process)[0] for process in runs]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    found = content(tmp_path / "results")
    assert len(set(found.values())) == 1
    assert found.keys() == set(FILES)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@pytest.mark.parametrize("exchange", [True, False])
def test_files_of_the_earlier_run_go_and_files_of_others_stay(exchange, tmp_path, monkeypatch):
    if not exchange:
        monkeypatch.setattr(folder_swap, "_find_exchange", lambda: None)
    out = tmp_path / "results"
    write(out, "1", (*FILES, "tables/old.csv"))
    (out / "mine").mkdir()
    (out / "mine" / "notes.txt").write_text("mine")
    (out / "figures" / "mine.svg").write_text("mine")
    (out / "link").symlink_to("mine")
    write(out, "2")
    assert content(out) == whole("2") | {"mine/notes.txt": "mine", "figures/mine.svg": "mine"}
    assert (out / "link").readlink() == Path("mine")
    assert {path.name for path in tmp_path.iterdir()} == {"results"}
    assert sorted(json.loads((out / "provenance.json").read_text())["files"]) == sorted(FILES)


def test_files_where_links_are_not_possible_are_copied(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(1, "no links here")

    write(tmp_path / "results", "1")
    (tmp_path / "results" / "notes.txt").write_text("mine")
    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "results", "2")
    assert content(tmp_path / "results") == whole("2") | {"notes.txt": "mine"}


def test_a_file_that_somebody_changes_meanwhile_is_not_lost(tmp_path, monkeypatch):
    out = tmp_path / "results"
    write(out, "1")
    (out / "notes.txt").write_text("before")
    real = folders.replace_folder

    def change_first(new, old, aside):
        (old / "draft").write_text("changed meanwhile")
        os.replace(old / "draft", old / "notes.txt")
        return real(new, old, aside)

    monkeypatch.setattr(folders, "replace_folder", change_first)
    write(out, "2")
    assert (out / "notes.txt").read_text() == "changed meanwhile"


def test_a_file_in_the_way_is_refused_and_the_old_results_stay(tmp_path):
    out = tmp_path / "results"
    write(out, "1", ("provenance.json",))
    (out / "figures").write_text("mine")
    with pytest.raises(StorageError, match="stands where results are to be written"):
        write(out, "2")
    assert content(out) == {"provenance.json": "1", "figures": "mine"}
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_permissions_of_the_folder_stay(tmp_path):
    write(tmp_path / "results", "1")
    (tmp_path / "results").chmod(0o750)
    write(tmp_path / "results", "2")
    assert (tmp_path / "results").stat().st_mode & 0o777 == 0o750


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to("disk")
    write(tmp_path / "results", "1")
    write(tmp_path / "results", "2")
    assert (tmp_path / "results").is_symlink()
    assert content(tmp_path / "disk") == whole("2")
    assert {path.name for path in tmp_path.iterdir()} == {"results", "disk"}


def test_a_folder_whose_note_of_files_is_damaged_is_left_alone(tmp_path):
    out = tmp_path / "results"
    write(out, "1")
    for text in ("{", "[]", '{"files": 3}', "\x00", '{"files": [[1]]}'):
        (out / "provenance.json").write_text(text)
        (out / "mine.txt").write_text("mine")
        with pytest.raises(StorageError, match="must be new, empty, or hold the results"):
            folders.check_folder(out)
        assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "wanted a name, found ''"),
        ("  ", "wanted a name, found '  '"),
        ("a\0b", "wanted a name"),
        (".", "holds the current folder"),
        ("..", "holds the current folder"),
        ("a/..", "holds the current folder"),
        ("/", "holds the current folder"),
        ("x" * 300, "cannot be made: File name too long"),
        ("x" * 230, "at most 200 bytes"),
        ("结" * 80, "at most 200 bytes"),
        ("a/" * 3000 + "b", "File name too long"),
        ("file/results", "is a file"),
        ("file", "it is a file"),
        ("loop/results", ""),
        ("/proc/results", ""),
    ],
)
def test_folders_that_cannot_be_replaced_are_refused_in_one_message(
    name, words, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path if name.startswith(("file", "loop")) else tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    assert main(["demo", name]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "should not have happened" not in err
    assert err.count("\n") == 1
    assert len(err) < 700
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("option", ["evaluate", "thresholds", "pilot"])
def test_every_command_refuses_a_folder_without_a_name(option, capsys):
    needed = {
        "evaluate": ["x.csv", "--outcome", "y", "--doctor", "d", "--direction", "lower"],
        "thresholds": [
            *("x.csv", "--indicator", "i", "--cycle", "c", "--denominator", "n"),
            *("--reading", "raw_rate"),
        ],
        "pilot": ["--before", "43", "--after", "68", "--percent"],
    }[option]
    assert main([option, *needed, "--out", ""]) == 2
    assert "argument --out: wanted a name, found ''" in capsys.readouterr().err


def test_a_mounted_disk_is_refused(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).name == "disk")
    with pytest.raises(StorageError, match="a disk is mounted"):
        write(tmp_path / "disk", "1")
