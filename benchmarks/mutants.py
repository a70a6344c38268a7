"""Would the tests notice? Change one operator, constant or sign at a time and run them.

Run: ``python benchmarks/mutants.py`` (about an hour on one core; ``--module profiling/exact``
for one module, ``--list`` to see the changes without running anything).
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "outcomekpi"
PAGE = Path(__file__).with_suffix(".md")
SEED = 20261
PER_MODULE = 6
LONGEST = 120  # seconds; a change that makes a loop endless has been noticed

# numeric modules, and the tests that are to notice a change in them
TARGETS = {
    "profiling/exact": ("profiling/test_exact.py",),
    "profiling/count_tails": ("profiling/test_exact.py",),
    "profiling/funnel_laws": ("profiling/test_funnel.py",),
    "profiling/overdispersion": ("profiling/test_funnel.py",),
    "profiling/r_values": ("profiling/test_r_values.py",),
    "profiling/reliability_estimates": ("profiling/test_reliability.py",),
    "operating/exact_operation": ("operating/test_exact_operation.py",),
    "review/nested_binomial": ("review/test_rate_draws.py",),
    "tables/completion": (
        "review/test_rule.py",
        "tables/test_history.py",
    ),
    "review/indicator_table": ("review/test_indicator_table.py",),
    "awards/kernels": ("awards/test_awards.py",),
    "awards/normal_cuts": ("awards/test_normal_cuts.py",),
    "indicators/chance/runs": ("indicators/chance/test_criteria.py",),
    "programs/vbp": ("programs/test_payment.py",),
    "pilots/estimators/kitagawa": ("pilots/estimators/test_kitagawa.py",),
    "pilots/estimators/cluster_robust": ("pilots/estimators/test_cluster_robust.py",),
    "pilots/estimators/selected_normal": (
        "pilots/estimators/test_regression_to_mean_kernels.py",
        "pilots/estimators/test_regression_to_mean_selection.py",
    ),
    "appraisal/points": ("appraisal/test_points.py",),
    "indicators/reached_by_chance": ("indicators/test_reached_by_chance.py",),
    "calibration/statistics": ("calibration/test_numbers.py",),
}

# changes that change no result, and why: module, the changed line as written, the change. They are
# not drawn; another change of the module is.
EQUIVALENT = {
    ("profiling/exact", "small = int((self.log_p < np.log(0.05)).sum())", "< to <="): (
        "counts of a p-value of .05 to the last digit; words of a repr"
    ),
    ("profiling/count_tails", "low *= 2", "2 to 3"): "stride of a search; it ends at the same root",
    (
        "profiling/count_tails",
        "if gap > 0:",
        "> to >=",
    ): "a gap of 0 ends the search in the next line",
    (
        "profiling/count_tails",
        "high *= 2",
        "2 to 3",
    ): "stride of a search; it ends at the same root",
    (
        "profiling/count_tails",
        "angle = 2 * np.pi * np.arange(reach + 1) / size",
        "1 to 2",
    ): "one frequency more than the transform reads",
    (
        "profiling/funnel_laws",
        "beyond = _smallest(lambda k: self.at_least(k) < tail, start, self.highest + 1)",
        "< to <=",
    ): "the interpolated limit is continuous where a tail equals the level's",
    (
        "profiling/funnel_laws",
        "at = np.where(wide, np.floor((fails + found) / 2), np.maximum(found, 0.0))",
        "0.0 to 0.1",
    ): "counts of doctors whose search has ended; what they give is not read",
    (
        "profiling/funnel_laws",
        "is_open &= (at > fails) & (at < found)",
        "< to <=",
    ): "the place found is looked at once more",
    (
        "profiling/funnel_laws",
        "k < cases, betainc(np.maximum(cases - k, 1e-12), k + 1, 1 - share), 1.0",
        "< to <=",
    ): "at k = cases the other branch is 1 too, to twelve digits",
    ("profiling/funnel_laws", "stride *= 2", "2 to 3"): "stride of a search; same answer",
    (
        "profiling/overdispersion",
        "if grid[best] > LOG_RANGE[1] - 10:",
        "> to >=",
    ): "a precision of exp(15) and an infinite one give the same limits",
    (
        "profiling/r_values",
        "POOLED = 2_000_000  # draws of all doctors that the population quantiles are taken from",
        "2_000_000 to 2000001",
    ): "how many draws are looked at",
    (
        "profiling/r_values",
        "part = np.where((first > 0) & (gap > 0), after / np.where(gap > 0, gap, 1.0), 0.0)",
        "> to >=",
    ): "where first is 0 the gap is 0, and the other condition fails",
    (
        "review/nested_binomial",
        "part = steps.log_density > steps.log_density.max() - NEGLIGIBLE",
        "> to >=",
    ): "a grid point exactly at the edge of what is negligible",
    (
        "review/nested_binomial",
        "if np.abs(eta - before).max() < CLOSE:",
        "< to <=",
    ): "a step of exactly the tolerance; one more step of Newton",
    (
        "indicators/chance/runs",
        "LOWEST, TOP, STEP = -7.0, 9.0, 0.05",
        "9.0 to 10.0",
    ): "the grid ends where the normal density is 1e-18",
    ("pilots/estimators/kitagawa", "for _ in range(30):", "30 to 31"): "Newton ends before",
    (
        "pilots/estimators/cluster_robust",
        "near, far = far, value + 2.0 * (far - value)",
        "- to +",
    ): "stride of a search; the root between near and far is the same",
    (
        "indicators/reached_by_chance",
        "z = (bars - levels.mean[:, None, :] - points) / sd",
        "- to +",
    ): "the nodes of Gauss and Hermite are symmetric",
}

# changes that are drawn and not noticed, and why: as above
SURVIVORS = {
    (
        "profiling/count_tails",
        "tilt = 0.0",
        "0.0 to 0.1",
    ): "where a search begins; it ends the same",
    (
        "profiling/funnel_laws",
        "betainc(np.maximum(k, 1.0), np.maximum(cases - k + 1, 1e-12), share),",
        "1e-12 to 0.1000000000011",
    ): "matters between whole numbers of cases alone, on a curve that no test reads there",
}

COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
}
ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
SIGNS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one place in one module."""

    module: str
    line: int
    kind: str
    change: str
    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        """Return the module's text with the change."""
        return source[: self.start] + self.text + source[self.end :]


def offsets(source):
    """Return a function from (line, column in bytes) to a place in the text."""
    lines = source.splitlines(keepends=True)
    starts = np.r_[0, np.cumsum([len(line) for line in lines])]

    def place(line, column):
        return int(starts[line - 1]) + len(lines[line - 1].encode()[:column].decode())

    return place


def numeric_nodes(tree):
    """Walk over what computes: not annotations, messages, defaults of parameters or indices."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.arguments | ast.Subscript | ast.Slice):
            if isinstance(node, ast.Subscript):
                stack.append(node.value)
            continue
        if isinstance(node, ast.AnnAssign):
            stack += [node.value] if node.value is not None else []
            continue
        if isinstance(node, ast.FunctionDef):
            stack += node.body
            continue
        yield node
        stack += list(ast.iter_child_nodes(node))


def between(source, place, left, right, sign):
    """Place of an operator between two operands."""
    begin = place(left.end_lineno, left.end_col_offset)
    end = place(right.lineno, right.col_offset)
    at = source.index(sign, begin, end)
    return at, at + len(sign)


def list_mutants(module):
    """Every change of a comparison, an operation, a number or a sign in a module."""
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    place, found = offsets(source), []

    def add(node, kind, change, start, end, text):
        found.append(
            Mutant(
                module=module,
                line=node.lineno,
                kind=kind,
                change=change,
                start=start,
                end=end,
                text=text,
            )
        )

    for node in numeric_nodes(ast.parse(source)):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
            old, new = SIGNS[type(node.ops[0])], COMPARISONS[type(node.ops[0])]
            at = between(source, place, node.left, node.comparators[0], old)
            add(node, "comparison", f"{old} to {new}", *at, new)
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            old, new = SIGNS[type(node.op)], ARITHMETIC[type(node.op)]
            at = between(source, place, node.left, node.right, old)
            add(node, "arithmetic", f"{old} to {new}", *at, new)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if isinstance(node.operand, ast.Constant):
                continue
            start = place(node.lineno, node.col_offset)
            add(node, "sign", "- dropped", start, start + 1, "")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, int | float)
            and not isinstance(node.value, bool)
        ):
            new = repr(node.value + 1 if isinstance(node.value, int) else node.value * 1.1 + 0.1)
            start = place(node.lineno, node.col_offset)
            end = place(node.end_lineno, node.end_col_offset)
            add(node, "constant", f"{source[start:end]} to {new}", start, end, new)
    return sorted(found, key=lambda one: (one.line, one.start))


def choose_mutants(module, rng):
    """A few changes of a module, of all kinds in turn."""
    kinds = {}
    for one in list_mutants(module):
        if key(one) in EQUIVALENT:
            continue
        kinds.setdefault(one.kind, []).append(one)
    piles = [list(rng.permutation(np.array(pile, dtype=object))) for pile in kinds.values()]
    chosen = []
    while len(chosen) < PER_MODULE and any(piles):
        for pile in piles:
            if pile and len(chosen) < PER_MODULE:
                chosen.append(pile.pop())
    return chosen


def code_line(one):
    """Return the changed line as it is written."""
    source = (PACKAGE / f"{one.module}.py").read_text(encoding="utf-8")
    return source.splitlines()[one.line - 1].strip()


def is_noticed(one):
    """Run the tests of a module with the change in place; return whether they fail."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        changed = copy / "outcomekpi" / f"{one.module}.py"
        changed.write_text(one.apply(changed.read_text(encoding="utf-8")), encoding="utf-8")
        tests = [str(ROOT / "tests" / name) for name in TARGETS[one.module]]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        setting = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        try:
            ran = subprocess.run(
                command, cwd=ROOT, env=setting, capture_output=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            return True
    if ran.returncode not in (0, 1, 2):  # passed, failed, failed at import
        raise RuntimeError(ran.stdout.decode() + ran.stderr.decode())
    return ran.returncode != 0


def write(rows, seconds):
    """Write the page."""
    survivors = [one for one, noticed in rows if not noticed]
    share = 1 - len(survivors) / len(rows)
    lines = [
        "# Would the tests notice a changed operator, constant or sign?",
        "",
        f"Written by `python benchmarks/mutants.py` (seed {SEED}, {PER_MODULE} changes of each of "
        f"{len(TARGETS)} numeric modules, {seconds / 60:.0f} minutes). Each change was made alone "
        "in a copy of the package, and the tests named in the script were run on it.",
        "",
        f"**{len(rows) - len(survivors)} of {len(rows)} changes are noticed ({share:.1%}).** "
        f"{len(EQUIVALENT)} changes that change no result are not drawn; they stand below.",
        "",
        "| module | line | change | noticed |",
        "|---|---|---|---|",
    ]
    for one, noticed in rows:
        said = "yes" if noticed else f"**no**: {SURVIVORS.get(key(one), 'no reason is known')}"
        code = code_line(one).replace("|", "\\|")
        lines.append(f"| {one.module} | `{code}` | {one.change} | {said} |")
    lines += ["", "## Changes that change no result", ""]
    lines += ["| module | line | change | why |", "|---|---|---|---|"]
    for (module, line, change), why in EQUIVALENT.items():
        code = line.replace("|", "\\|")
        lines.append(f"| {module} | `{code}` | {change} | {why} |")
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


def key(one):
    """What a reason is filed under."""
    return one.module, code_line(one), one.change


def main():
    """Choose, change, run, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", choices=sorted(TARGETS), help="only this module; no page")
    parser.add_argument("--list", action="store_true", help="print the changes and stop")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(SEED)
    chosen = [one for module in TARGETS for one in choose_mutants(module, rng)]
    if asked.module:
        chosen = [one for one in chosen if one.module == asked.module]
    began, rows = perf_counter(), []
    if asked.list:
        for one in chosen:
            print(f"{one.module}:{one.line}: {one.change}: {code_line(one)}")
        return
    with ThreadPoolExecutor(asked.workers) as pool:
        for one, noticed in zip(chosen, pool.map(is_noticed, chosen), strict=True):
            rows.append((one, noticed))
            if not noticed:
                print(
                    f"not noticed: {one.module}:{one.line}: {one.change}: {code_line(one)}",
                    flush=True,
                )
    if not asked.module:
        write(rows, perf_counter() - began)


if __name__ == "__main__":
    main()
