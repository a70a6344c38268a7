"""Execute the notebooks from their twins in plain text, or check that they come out the same again.

`python notebooks/build.py` turns every `NN_name.py` into an executed `NN_name.ipynb`; numbers
choose some: `build.py 3 5`. `build.py --check` (`make reproduce`) executes them from scratch,
writes nothing, and compares every assertion, line, table and picture with what is committed.
"""

import argparse
import ast
import difflib
import os
import sys
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from matplotlib.image import imread
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import outcomekpi

FOLDER = Path(__file__).parent
VERSIONS = FOLDER / "executed_with.json"
TIMEOUT = 600
VARIES = "varies"
VERSIONS_HERE = "ok.provenance("
COLOR, POINTS = 0.1, 0.002
"""Pictures are the same if no more than this share of points differs by more than this."""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_twin(source):
    """Return the notebook that a twin says: cells with fixed names and nothing executed."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def execute(notebook):
    """Execute a notebook in a new kernel whose folder is this one; return the seconds it took."""
    start = time.perf_counter()
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # it warns of its own way to talk to us
        resources=resources,
        record_timing=False,
    ).execute()
    for cell in notebook.cells:
        join_streams(cell)
    return time.perf_counter() - start


def join_streams(cell):
    """Put what a cell printed in pieces into one output, wherever the pieces were cut."""
    joined = []
    for output in cell.get("outputs", []):
        last = joined[-1] if joined else {}
        if output.output_type == "stream" == last.get("output_type") and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    if "outputs" in cell:
        cell.outputs = joined


def count_assertions(notebook):
    """Count the assertions in the code cells."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(code)))


def lines_of(cell):
    """Every line that a cell shows: what it printed, and its tables as text and as web pages."""
    parts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = [output.get("text"), data.get("text/plain"), data.get("text/html")]
        parts += [part if isinstance(part, str) else "".join(part) for part in shown if part]
    return "\n".join(parts).splitlines()


def pictures_of(cell):
    """Every picture that a cell shows: (height, width, color), 0 to 1."""
    found = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
    return [imread(BytesIO(b64decode(picture))) for picture in found if picture]


def same_picture(old, new):
    """Whether two pictures show the same: of equal size, nearly all points of equal color."""
    if old.shape != new.shape:
        return False
    return (np.abs(old - new).max(axis=2) > COLOR).mean() <= POINTS


def compare(committed, again):
    """List the lines and pictures that came out differently, cell by cell."""
    if len(committed.cells) != len(again.cells):
        return [f"{len(committed.cells)} cells committed, {len(again.cells)} in the twin"]
    found = []
    for old, new in zip(committed.cells, again.cells, strict=True):
        if old.source != new.source:
            found.append(f"{new.id}: the committed source differs from the twin")
        elif VARIES not in new.metadata.get("tags", []) and VERSIONS_HERE not in new.source:
            lines = difflib.unified_diff(lines_of(old), lines_of(new), n=0, lineterm="")
            found += [
                f"{new.id}: {line}" for line in lines if not line.startswith(("---", "+++", "@@"))
            ]
            pictures = pictures_of(old), pictures_of(new)
            same = len(pictures[0]) == len(pictures[1]) and all(map(same_picture, *pictures))
            found += [] if same else [f"{new.id}: a picture differs"]
    return found


def write(notebook, path):
    """Write a notebook whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(part, path)


def build(source):
    """Execute one twin and write its notebook."""
    notebook = read_twin(source)
    seconds = execute(notebook)
    write(notebook, source.with_suffix(".ipynb"))
    print(f"{source.stem}: {count_assertions(notebook)} assertions held, {seconds:.0f} s")
    return True


def check(source):
    """Execute one twin from scratch and compare it with the committed notebook."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        print(f"{source.stem}: there is no {path.name} to compare with; build.py writes it")
        return False
    committed = nbformat.read(path, as_version=4)
    notebook = read_twin(source)
    seconds = execute(notebook)
    found = compare(committed, notebook)
    verdict = "every line, table and picture as committed"
    if found:
        verdict = f"{len(found)} line{'s' if len(found) > 1 else ''} or pictures differ:"
    assertions = count_assertions(notebook)
    print(f"{source.stem}: {assertions} assertions held, {verdict}, {seconds:.0f} s")
    print("".join(f"    {line}\n" for line in found), end="")
    return not found


def run(sources, action):
    """Do one thing with every notebook; say which failed and where, and go on with the others."""
    good = True
    for source in sources:
        try:
            good &= action(source)
        except CellExecutionError as error:
            print(f"{source.stem}: a cell failed.\n{error}")
            good = False
    return good


def record_versions(everything):
    """Write which versions the notebooks are executed with: one set for all of them."""
    now = outcomekpi.provenance().to_json()
    if VERSIONS.exists() and not everything:
        here = outcomekpi.provenance(executed_with=VERSIONS)
        if here.differences:
            sys.exit(f"{here.versions_line} Execute all of them with the versions of here.")
    VERSIONS.write_text(now, encoding="utf-8")


def choose(numbers):
    """Return the twins with the numbers asked for, or all of them."""
    sources = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    known = {int(source.name[:2]): source for source in sources}
    unknown = sorted(set(numbers) - set(known))
    if unknown:
        sys.exit(f"There is no notebook {unknown[0]}. There are: {sorted(known)}")
    return [known[number] for number in sorted(set(numbers))] or sources


def main():
    """Read the arguments and do what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, help="which notebooks (all without)")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    options = parser.parse_args()
    sources = choose(options.numbers)
    if options.check:
        print(outcomekpi.provenance(executed_with=VERSIONS).versions_line)
    else:
        record_versions(everything=not options.numbers)
    sys.exit(0 if run(sources, check if options.check else build) else 1)


if __name__ == "__main__":
    try:
        main()
    except outcomekpi.OutcomeKPIError as error:
        sys.exit(str(error))
