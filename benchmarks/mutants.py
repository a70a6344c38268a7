"""Would the tests notice? Change one operator, constant or sign at a time and run them.

Run: ``python benchmarks/mutants.py`` (half an hour on one core; ``--module profiling/exact`` for
one module, ``--list`` to see the changes without running anything).
"""

import argparse
import ast
import os
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import xarray as xr  # noqa: F401

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "outcomekpi"
PAGE = Path(__file__).with_suffix(".md")
SEED = 20261
PER_MODULE = 6
LONGEST = 120  # seconds, or five times what the unchanged package takes; an endless loop is noticed

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

# changes that once passed the tests; they are made in every run, beside those that are drawn
NAMED = {
    (
        "profiling/exact",
        "tails = [normal_tails(z) for z in (observed - events) / (sd * np.sqrt(n))]",
        "- to +",
    ),
    (
        "review/indicator_table",
        "return np.asarray(self.trials[part] @ rates[part] / self.trials[part].sum())",
        "/ to *",
    ),
    (
        "operating/exact_operation",
        'pooled = bool(getattr(rule, "pools_units", False)) and not per_unit and setting.icc == 0',
        "== to !=",
    ),
    ("operating/exact_operation", "if setting.persistence == 0:", "== to !="),
    ("operating/exact_operation", "if setting.icc > 0 and setting.persistence == 0:", "== to !="),
    (
        "operating/exact_operation",
        'scores |= {"deserved": known, "due": (known != 0).astype(np.float64)}',
        "!= to ==",
    ),
    (
        "operating/exact_operation",
        "stays = (decided.awards == 0).reshape((n + 1,) * k).astype(np.float64)",
        "== to !=",
    ),
    (
        "operating/exact_operation",
        "if shapes is not None and setting.persistence == 1:",
        "== to !=",
    ),
    (
        "operating/exact_operation",
        "shares = (which[:, None] == np.arange(awards.size)).astype(np.float64)",
        "== to !=",
    ),
    (
        "operating/exact_operation",
        "shares[row] = (np.arange(awards.size) == piece)[:, None]",
        "== to !=",
    ),
}

# changes that change no result, and why: module, the changed line as written, the change. They are
# not drawn; another change of the module is.
EQUIVALENT = {
    (
        "profiling/exact",
        "edges = np.searchsorted(code[order], np.arange(observed.size + 1))",
        "1 to 2",
    ): "one edge more than there are doctors, which is not read",
    (
        "profiling/count_tails",
        "if below > UNDERFLOW:",
        "> to >=",
    ): "at exactly 1e-280 both branches have their digits",
    (
        "profiling/reliability_estimates",
        "bounds=[(-12, 16)] * 2,",
        "16 to 17",
    ): "a fit whose parameters add up to more than exp(13.8) is refused",
    (
        "operating/exact_operation",
        "return min((degree + 2) // 2, int(5 * np.sqrt(degree)) + 20)",
        "2 to 3",
    ): "one node more than an exact sum needs",
    (
        "operating/exact_operation",
        "split = silent.reshape(nodes, -1, moves.shape[0]).transpose(2, 0, 1)",
        "1 to 2",
    ): "numpy infers a size of -2 as it does one of -1",
    (
        "review/nested_binomial",
        "other = rng.random(middle.shape) > expit(gap[0] - gap[1])",
        "> to >=",
    ): "a random number that is equal to the chance",
    (
        "pilots/estimators/kitagawa",
        "if moved_loss <= loss + 1e-12 * abs(loss):",
        "<= to <",
    ): "a loss exactly at the edge of rounding; one more halving",
    (
        "pilots/estimators/kitagawa",
        "step = step / 2.0",
        "2.0 to 2.3000000000000003",
    ): "stride of a search; the score says where it ends",
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
        "k < cases, betainc(np.maximum(cases - k, 1e-12), k + 1, 1 - share), 1.0",
        "< to <=",
    ): "at k = cases the other branch is 1 too",
    (
        "profiling/funnel_laws",
        "k > cases + 1 - 1e-12,",
        "> to >=",
    ): "a number of cases that is exactly 1e-12 away from a whole one",
    (
        "profiling/funnel_laws",
        "is_open &= (at > fails) & (at < found)",
        "< to <=",
    ): "the place found is looked at once more",
    (
        "profiling/funnel_laws",
        "is_open &= (at > fails) & (at < found)",
        "> to >=",
    ): "a count of -1 is looked at; where it is taken the limit is 0 all the same",
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
        "pilots/estimators/selected_normal",
        "opposite = (h * k < 0) | ((h * k == 0) & (h + k < 0))",
        "< to <= (2)",
    ): "where h + k is 0 as well, both are, and the next line gives that case its own value",
    (
        "indicators/reached_by_chance",
        "z = (bars - levels.mean[:, None, :] - points) / sd",
        "- to + (2)",
    ): "the nodes of Gauss and Hermite are symmetric",
}

# changes that are drawn and not noticed, and why: as above
SURVIVORS = {
    (
        "profiling/reliability_estimates",
        "starts = [(p * precision, (1 - p) * precision) for precision in (2.0, 20.0, 200.0)]",
        "20.0 to 22.1",
    ): "where one of three searches begins; the best of them ends the same",
    (
        "pilots/estimators/kitagawa",
        "if moved_loss <= loss + 1e-12 * abs(loss):",
        "1e-12 to 0.1000000000011",
    ): "which steps are halved on the way; the score says where they end",
    (
        "profiling/count_tails",
        "if observed > mean:",
        "> to >=",
    ): "at the mean either tail is 1 less the other, to the last digit",
    (
        "profiling/count_tails",
        "REACH = 9.0  # SDs on each side of the observed count that the tilted law is kept for",
        "9.0 to 10.0",
    ): "what lies beyond 9 SD is below 1e-18 of the rest",
    (
        "review/indicator_table",
        'str(unit): tuple(part[columns].fillna(0).sort_values("cycle").to_numpy().ravel())',
        "0 to 1",
    ): "which of two units with the same counts comes first, where one of them has no target",
    (
        "profiling/count_tails",
        "tilt = 0.0",
        "0.0 to 0.1",
    ): "where a search begins; it ends the same",
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


def operations(node):
    """Operators of a node: what stands left and right of each, its sign, its kind."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True):
            if type(op) in COMPARISONS:
                yield left, right, SIGNS[type(op)], COMPARISONS[type(op)], "comparison"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield node.left, node.right, SIGNS[type(node.op)], ARITHMETIC[type(node.op)], "arithmetic"
    elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        old, new = SIGNS[type(node.op)], ARITHMETIC[type(node.op)]
        yield node.target, node.value, f"{old}=", f"{new}=", "arithmetic"


def changes(node, source, place):
    """Changes of a node: kind, words for it, where it begins and ends, text in its place."""
    for left, right, old, new, kind in operations(node):
        yield kind, f"{old} to {new}", *between(source, place, left, right, old), new
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if not isinstance(node.operand, ast.Constant):
            start = place(node.lineno, node.col_offset)
            yield "sign", "- dropped", start, start + 1, ""
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        new = repr(node.value + 1 if isinstance(node.value, int) else node.value * 1.1 + 0.1)
        start = place(node.lineno, node.col_offset)
        end = place(node.end_lineno, node.end_col_offset)
        yield "constant", f"{source[start:end]} to {new}", start, end, new


def list_mutants(module):
    """Every change of a comparison, an operation, a number or a sign in a module."""
    source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    place, found, seen = offsets(source), [], Counter()
    for node in numeric_nodes(ast.parse(source)):
        found += changes(node, source, place)
    mutants = []
    for kind, change, start, end, text in sorted(found, key=lambda one: one[2]):
        line = source.count("\n", 0, start) + 1
        seen[line, change] += 1  # "> to >= (2)" is the second ">" of its line
        nth = f" ({seen[line, change]})" if seen[line, change] > 1 else ""
        mutants.append(
            Mutant(
                module=module,
                line=line,
                kind=kind,
                change=change + nth,
                start=start,
                end=end,
                text=text,
            )
        )
    return mutants


def choose_mutants(module, seed):
    """The named changes of a module and a few more, of all kinds in turn.

    The seed is the module's own, and what is equivalent is left out after the draw: a reason added
    here, or a change of another module, draws nothing else anew.
    """
    found, kinds = list_mutants(module), {}
    chosen = [one for one in found if key(one) in NAMED]
    for one in found:
        kinds.setdefault(one.kind, []).append(one)
    rng = np.random.default_rng([seed, *module.encode()])
    drawn = [rng.permutation(len(pile)) for pile in kinds.values()]
    piles = [
        [one for one in (pile[k] for k in order) if key(one) not in {*EQUIVALENT, *NAMED}]
        for pile, order in zip(kinds.values(), drawn, strict=True)
    ]
    most = len(chosen) + PER_MODULE
    while len(chosen) < most and any(piles):
        for pile in piles:
            if pile and len(chosen) < most:
                chosen.append(pile.pop())
    return chosen


def check_reasons():
    """Refuse names and reasons of lines that are no longer there."""
    found = {key(one) for module in TARGETS for one in list_mutants(module)}
    lost = {*NAMED, *EQUIVALENT, *SURVIVORS} - found
    if lost:
        raise ValueError(f"{len(lost)} changes can no longer be made: {sorted(lost)}.")


def code_line(one):
    """Return the changed line as it is written."""
    source = (PACKAGE / f"{one.module}.py").read_text(encoding="utf-8")
    return source.splitlines()[one.line - 1].strip()


def run_tests(module, package, longest):
    """Run the tests of a module on a copy of the package; return whether they pass.

    In a fork of this process, where the libraries, though not the package, are imported already.
    """
    child = get_context("fork").Process(target=run_in_child, args=(module, package))
    child.start()
    child.join(longest)
    if child.is_alive():
        child.kill()
        child.join()
        return False
    if child.exitcode not in (0, 1, 2):  # passed, failed, failed at import
        raise RuntimeError(f"The tests of {module} ended with {child.exitcode}.")
    return child.exitcode == 0


def run_in_child(module, package):
    """Replace this process's package by the copy and end it with the verdict of pytest."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(package)
    sys.path.insert(0, str(package))
    tests = [str(ROOT / "tests" / name) for name in TARGETS[module]]
    os._exit(pytest.main(["-xq", "-p", "no:cacheprovider", "-p", "no:nbmake", *tests]))


def time_tests(module):
    """Seconds that the tests of a module take where nothing is changed; they must pass."""
    began = perf_counter()
    if not run_tests(module, ROOT / "src", 10 * LONGEST):
        raise RuntimeError(f"The tests of {module} fail without a change.")
    return perf_counter() - began


def is_noticed(one, longest):
    """Run the tests of a module with the change in place; return whether they fail."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        changed = copy / "outcomekpi" / f"{one.module}.py"
        changed.write_text(one.apply(changed.read_text(encoding="utf-8")), encoding="utf-8")
        return not run_tests(one.module, copy, longest)


def write(rows, seconds):
    """Write the page."""
    survivors = [one for one, noticed in rows if not noticed]
    share = 1 - len(survivors) / len(rows)
    possible = sum(len(list_mutants(module)) for module in TARGETS)
    lines = [
        "# Would the tests notice a changed operator, constant or sign?",
        "",
        f"Written by `python benchmarks/mutants.py` (seed {SEED}, {PER_MODULE} changes of each of "
        f"{len(TARGETS)} numeric modules, out of {possible:,}, and {len(NAMED)} named ones that "
        f"once passed the tests; {seconds / 60:.0f} minutes). Each change was made alone in a copy "
        "of the package, and the tests that the script lists for the module were run on it; "
        "without a change they pass. The tests were made with the changes of this seed in view: "
        "what they notice of others, `--seed` prints.",
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
        change = f"{one.change}, named" if key(one) in NAMED else one.change
        lines.append(f"| {one.module} | `{code}` | {change} | {said} |")
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
    parser.add_argument("--seed", type=int, default=SEED, help="other than usual: no page")
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    check_reasons()
    modules = [asked.module] if asked.module else list(TARGETS)
    chosen = [one for module in modules for one in choose_mutants(module, asked.seed)]
    began, rows = perf_counter(), []
    if asked.list:
        for one in chosen:
            print(f"{one.module}:{one.line}: {one.change}: {code_line(one)}")
        return
    longest = {module: max(LONGEST, 5 * time_tests(module)) for module in modules}
    with ThreadPoolExecutor(asked.workers) as pool:
        limits = [longest[one.module] for one in chosen]
        for one, noticed in zip(chosen, pool.map(is_noticed, chosen, limits), strict=True):
            rows.append((one, noticed))
            if not noticed:
                print(
                    f"not noticed: {one.module}:{one.line}: {one.change}: {code_line(one)}",
                    flush=True,
                )
    print(f"{sum(noticed for _, noticed in rows)} of {len(rows)} noticed")
    if not asked.module and asked.seed == SEED:
        write(rows, perf_counter() - began)


if __name__ == "__main__":
    main()
