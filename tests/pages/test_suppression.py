"""Small counts that are withheld, attacked with everything that is published."""

import json
import re
from itertools import islice

import numpy as np
import pandas as pd
import pytest
from made_publications import (
    BELOW,
    RATES,
    counts_of,
    exchange_counts,
    exchange_rows,
    made_cases,
    made_counts,
    made_spec,
    made_table,
    move_patients,
    other_tables,
)
from scipy.optimize import Bounds, LinearConstraint, milp

import outcomekpi as ok
from outcomekpi.cli import main
from outcomekpi.declare.errors import SpecError
from outcomekpi.lineage.origins import hash_cases
from outcomekpi.pages.document import report
from outcomekpi.pages.exchange import deal_out, put_together
from outcomekpi.pages.masking import mask_counts
from outcomekpi.pages.publication import publish, published_table
from outcomekpi.pages.suppression import choose_withheld

pytestmark = pytest.mark.slow

DESIGNS = [
    ("patients", False),
    ("patients", True),
    ("trials", False),
    ("trials", True),
    ("exposure", False),
    ("measurements", True),
]


def judged(cases, spec, draws=200):
    fit = ok.fit(cases, spec, draws=draws)
    rates = ok.standardize(fit)
    return fit, rates, ok.rank(rates), ok.classify(rates)


def reachable(cells, withheld, doctor, cell, value):
    """Whether the totals, and the rule itself, allow a withheld doctor this count.

    The attacker knows all counts of the doctors shown, the totals, the rule, and even which of
    the withheld are small and which are not: unknown are events and other cases of each.
    """
    below, pool = withheld.below, np.flatnonzero(withheld.hidden)
    n, size = pool.size, cells.sum(axis=1)
    shown = np.flatnonzero(~withheld.hidden)
    level = np.floor(np.log2(size)).astype(int)
    first = min(shown, key=lambda j: (level[j], j))
    # unknown: events (n), others (n), and for small ones whether it is the others that are few
    rows, low, high = [], [], []

    def row(entries, lower, upper):
        line = np.zeros(3 * n)
        for place, factor in entries:
            line[place] = factor
        rows.append(line), low.append(lower), high.append(upper)

    for c in range(2):
        row([(c * n + i, 1) for i in range(n)], *(2 * [cells[pool, c].sum()]))
    for i, j in enumerate(pool):
        row([(i, 1), (n + i, 1)], 1, np.inf)
        if withheld.small[j]:
            row([(i, 1), (2 * n + i, -1e6)], -np.inf, below - 1)
            row([(n + i, 1), (2 * n + i, 1e6)], -np.inf, below - 1 + 1e6)
        else:
            row([(i, 1)], below, np.inf)
            row([(n + i, 1)], below, np.inf)
            last = level[first] if j < first else level[first] - 1
            row([(i, 1), (n + i, 1)], 0, (2 << last) - 1)
    place = np.flatnonzero(pool == doctor)[0]
    whose = [(place, 1), (n + place, 1)] if cell == "cases" else [(cell * n + place, 1)]
    row(whose, value, value)
    found = milp(
        np.zeros(3 * n),
        integrality=np.ones(3 * n),
        bounds=Bounds(0, np.r_[np.full(2 * n, np.inf), np.ones(n)]),
        constraints=LinearConstraint(np.array(rows), low, high),
    )
    return found.status == 0


@pytest.mark.parametrize("seed", range(6))
def test_totals_leave_every_small_value_possible(seed):
    cells = made_counts(seed)
    withheld = choose_withheld(cells, cells.sum(axis=1), below=BELOW)
    assert withheld.small.any()
    for doctor in np.flatnonzero(withheld.hidden):
        for cell, count in ((0, cells[doctor, 0]), (1, cells[doctor, 1]), ("cases", cells[doctor])):
            count = int(np.sum(count))
            if count < BELOW:  # a doctor who is named has at least one case
                wanted = range(1 if cell == "cases" else 0, BELOW)
                missed = [v for v in wanted if not reachable(cells, withheld, doctor, cell, v)]
                assert not missed, f"doctor {doctor}, {cell}: never {missed}, truly {count}"
            else:
                around = sorted(range(max(0, count - BELOW), count + BELOW), key=lambda v: v % 3)
                found = (v for v in around if reachable(cells, withheld, doctor, cell, v))
                left = len(list(islice(found, BELOW)))
                assert left == BELOW, f"doctor {doctor}, {cell}: {left} values around {count}"


@pytest.mark.parametrize("seed", [3, 5, 10, 19])
def test_knowing_the_rule_by_heart_excludes_no_small_value(seed):
    """Another table with that value is published with the same doctors and totals."""
    cells = made_counts(seed, n_doctors=12 + seed % 8, rate=RATES[seed % 3])
    withheld = choose_withheld(cells, cells.sum(axis=1), below=BELOW)
    rng = np.random.default_rng(seed)

    def same(table):
        try:
            found = choose_withheld(table, table.sum(axis=1), below=BELOW)
        except SpecError:
            return False
        return bool((found.hidden == withheld.hidden).all())

    small = [(d, c) for d in np.flatnonzero(withheld.small) for c in (0, 1) if cells[d, c] < BELOW]
    for doctor, cell in small:
        for value in range(BELOW):
            tables = other_tables(cells, withheld.hidden, doctor, cell, value, rng)
            assert any(map(same, tables)), f"doctor {doctor}, cell {cell}: never {value}"


def test_one_more_withheld_would_not_be_enough():
    """The attack finds what a single complementary doctor at the bound gives away."""
    cells = np.array([[0, 90], [10, 90], [12, 80], [30, 60], [40, 60], [50, 90], [45, 90]])
    withheld = choose_withheld(cells, cells.sum(axis=1), below=BELOW)
    # beside 0 events 10, 12 and 30 of the others in the order of their caseloads' classes: 10 + 12
    # leave 2 above the bound, 10 + 12 + 30 leave 22; and one more
    assert np.flatnonzero(withheld.hidden).tolist() == [0, 1, 2, 3, 4]
    few = type(withheld)(below=BELOW, small=withheld.small, others=np.arange(7) == 1)
    assert [v for v in range(BELOW) if reachable(cells, few, 0, 0, v)] == [0]


def test_nobody_is_withheld_where_no_count_is_small():
    cells = np.full((5, 2), BELOW)
    assert not choose_withheld(cells, cells.sum(axis=1), below=BELOW).hidden.any()


def test_zero_is_small_and_three_doctors_are_withheld_at_least():
    cells = np.array([[0, 50]] + 9 * [[30, 70]])
    hidden = choose_withheld(cells, cells.sum(axis=1), below=2).hidden
    assert hidden[0] and hidden.sum() == 3


def test_a_table_of_nothing_but_small_counts_is_refused():
    cells = np.array([[3, 50]] * 8 + [[30, 70]] * 3)
    with pytest.raises(SpecError, match="8 of 11 doctors have a count below 10"):
        choose_withheld(cells, cells.sum(axis=1), below=BELOW)


@pytest.mark.parametrize(("kind", "covariate"), DESIGNS)
def test_no_number_of_the_others_moves_when_withheld_doctors_exchange_patients(kind, covariate):
    """Whatever formula leads from a doctor's counts to a published number: it is not in there."""
    table, spec = made_table(kind, covariate=covariate), made_spec(kind, covariate=covariate)
    results = judged(made_cases(table, kind), spec)
    first = publish(*results, below=BELOW)
    hidden = first.mask.hidden.index[first.mask.hidden]
    assert 3 <= len(hidden) <= 21
    exchange = exchange_rows if kind in ("patients", "measurements") else exchange_counts
    tried = (made_cases(exchange(table, hidden, seed), kind) for seed in range(30))
    # somebody may come to have enough: that is another publication, with others in it
    cases = next(one for one in tried if mask_of(one, spec, kind).equals(first.mask.hidden))
    second = publish(*judged(cases, spec), below=BELOW)
    tables = [published_table(one, one.flags, level=0.95) for one in (first, second)]
    assert tables[0].equals(tables[1])
    assert first.fit.to_frame().equals(second.fit.to_frame())
    assert first.everyone.to_frame().equals(second.everyone.to_frame())
    assert first.fit.provenance.data_hash == second.fit.provenance.data_hash
    assert not set(tables[0].index) & set(hidden)
    before = made_cases(table, kind).observed[hidden]
    assert (before != cases.observed[hidden]).any()


def mask_of(cases, spec, kind):
    """Who is withheld, without a fit."""
    cells = [cases.observed.to_numpy(dtype=int)]
    size = cases.caseload.to_numpy()
    if kind in ("patients", "trials"):
        cells.append(size - cells[0])
    elif kind == "measurements":
        cells = [size]
    else:
        size = cells[0]
    found = choose_withheld(np.column_stack(cells), size, below=BELOW)
    return pd.Series(found.hidden, index=cases.observed.index)


@pytest.mark.parametrize("covariate", [False, True])
def test_a_search_over_cases_and_events_finds_every_value_again(covariate):
    """Every count of cases and events below ten gives the very same published table."""
    table = made_table("patients", covariate=covariate)
    if covariate:  # a patient who moves takes his age along; ages alike leave all moves open
        table["age"] = np.where(table["age"] > 60, 1, 0)
    spec = made_spec("patients", covariate=covariate)
    cases = made_cases(table, "patients")
    mask = mask_of(cases, spec, "patients")
    columns = ("age",) if covariate else ()
    together, keys = put_together(cases, mask.to_numpy(), covariates=columns)
    published = hash_cases(together)  # all that follows is computed from these cases and keys
    events, others = counts_of(table, "patients")
    names = mask.index[mask]
    target = next(name for name in names if events[name] + others[name] < BELOW)
    partners = sorted(names.drop(target), key=lambda name: -(events[name] + others[name]))
    found = set()
    for y in range(BELOW):
        for z in range(1 if y == 0 else 0, BELOW):
            for partner in partners:
                moved = move_patients(
                    table,
                    (target, partner),
                    events=int(events[target]) - y,
                    others=int(others[target]) - z,
                )
                if moved is None:
                    continue
                tried = made_cases(moved, "patients")
                if not mask_of(tried, spec, "patients").equals(mask):
                    continue
                again, others_keys = put_together(tried, mask.to_numpy(), covariates=columns)
                assert hash_cases(again) == published
                assert (others_keys == keys).all()
                found.add((y, z))
                break
    assert {y for y, _ in found} == set(range(BELOW))
    assert {y + z for y, z in found if y + z < BELOW} == set(range(1, BELOW))
    assert len(found) == BELOW**2 - 1


def dealt(cases, hidden, *, covariates=(), spread=0.3, family="bernoulli"):
    together, keys = put_together(cases, hidden, covariates=covariates)
    return deal_out(
        together,
        keys,
        cases.doctors,
        hidden,
        expected=np.full(keys.size, together.outcome[-keys.size :].mean()),
        spread=spread,
        family=family,
    )


def test_totals_stay_what_they_were():
    table = made_table("patients", covariate=True)
    cases = made_cases(table, "patients")
    spec = made_spec("patients", covariate=True)
    hidden = mask_of(cases, spec, "patients").to_numpy()
    exchanged = dealt(cases, hidden, covariates=("age",))
    assert exchanged.n_cases == cases.n_cases
    assert exchanged.outcome.sum() == cases.outcome.sum()
    assert sorted(exchanged.frame["age"]) == sorted(cases.frame["age"])
    assert exchanged.doctors.equals(cases.doctors)
    kept = ~hidden[cases.doctor_code]
    n = kept.sum()
    assert (exchanged.doctor_code[:n] == cases.doctor_code[kept]).all()
    assert (exchanged.outcome[:n] == cases.outcome[kept]).all()
    assert exchanged.caseload[hidden].max() - exchanged.caseload[hidden].min() <= 1


@pytest.mark.parametrize(("kind", "covariate"), [("trials", True), ("exposure", False)])
def test_divided_rows_keep_their_totals(kind, covariate):
    table = made_table(kind, covariate=covariate)
    cases = made_cases(table, kind)
    hidden = mask_of(cases, made_spec(kind, covariate=covariate), kind).to_numpy()
    family = "binomial" if kind == "trials" else "poisson"
    exchanged = dealt(cases, hidden, covariates=("age",), family=family)
    for mine, name in ((cases, "before"), (exchanged, "after")):
        size = mine.trials if kind == "trials" else mine.exposure
        assert size.sum() == pytest.approx(table["n" if kind == "trials" else "days"].sum()), name
        assert mine.outcome.sum() == table["died"].sum()
    if kind == "trials":
        assert (exchanged.outcome <= exchanged.trials).all()


@pytest.mark.parametrize("kind", ["patients", "measurements", "trials", "exposure"])
def test_withheld_doctors_are_dealt_patients_as_different_as_doctors_are(kind):
    """Their true spread comes back, and not the none of patients who are dealt out at random."""
    rng = np.random.default_rng(5)
    spread, n_hidden, n_cases = (6.0 if kind == "measurements" else 0.5), 60, 400
    doctors = [f"D{j:02d}" for j in range(n_hidden + 2)]
    code = np.repeat(np.arange(n_hidden + 2), n_cases)
    table = pd.DataFrame({"doctor": np.array(doctors)[code], "died": rng.random(code.size) < 0.2})
    table["died"] = table["died"].astype(float)
    if kind == "measurements":
        table["died"] = rng.normal(50, 12, code.size)
    if kind in ("trials", "exposure"):
        table = table.groupby("doctor", as_index=False)["died"].sum().assign(n=n_cases)
        table = table.rename(columns={"n": "n" if kind == "trials" else "days"})
    family = {"patients": "bernoulli", "measurements": "gaussian", "trials": "binomial"}
    cases = made_cases(table, kind)
    hidden = np.arange(n_hidden + 2) >= 2
    exchanged = dealt(cases, hidden, spread=spread, family=family.get(kind, "poisson"))
    rate = exchanged.observed.to_numpy()[hidden] / n_cases
    if kind == "measurements":
        effect, chance = rate, 144 / n_cases
    elif kind == "exposure":
        effect, chance = np.log(rate), 1 / (n_cases * 0.2)
    else:
        effect, chance = np.log(rate / (1 - rate)), 1 / (n_cases * 0.2 * 0.8)
    # 60 doctors tell an SD to 9 %
    assert np.sqrt(effect.var(ddof=1) - chance) == pytest.approx(spread, rel=0.2)


def test_hospitals_of_withheld_doctors_are_not_told():
    table = made_table("patients")
    table["hospital"] = "H" + (table["doctor"].str[1:].astype(int) % 3).astype(str)
    cases = ok.Cases.from_frame(
        table, outcome="died", doctor="doctor", hospital="hospital", direction="lower"
    )
    hidden = mask_of(cases, ok.ModelSpec(), "patients").to_numpy()
    exchanged = dealt(cases, hidden)
    assert exchanged.hospitals.tolist() == ["H0", "H1", "H2", "withheld"]
    assert (exchanged.hospital_code[hidden] == 3).all()
    assert (exchanged.hospital_code[~hidden] == cases.hospital_code[~hidden]).all()


def normalized(path):
    """A page without the moment at which it was made."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+ in [\d.]+ s", "", text)
    return re.sub(r"Fitted on [\d-]+", "", text)


def test_the_page_and_its_pictures_are_the_same_whoever_has_the_patients(tmp_path):
    table = made_table("patients")
    spec = made_spec("patients", covariate=False)
    results = judged(made_cases(table, "patients"), spec)
    mask = mask_counts(results[1], below=BELOW)
    hidden = mask.hidden.index[mask.hidden]
    pages = []
    for seed in range(100):
        changed = table if not pages else exchange_rows(table, hidden, seed)
        cases = made_cases(changed, "patients")
        if not mask_of(cases, spec, "patients").equals(mask.hidden):
            continue
        path = report(
            *judged(cases, spec), path=tmp_path / f"{len(pages)}.html", suppress_below=BELOW
        )
        pages.append(normalized(path))
        if len(pages) == 2:
            break
    assert pages[0] == pages[1]
    body = pages[0][pages[0].index("<tbody") : pages[0].index("</tbody>")]
    shown = re.findall(r'<th scope="row">(.*?)</th>', body)
    assert sorted([*shown, *hidden]) == sorted(set(table["doctor"]))
    assert f"Withheld: {', '.join(hidden)}." in pages[0]


def test_what_cannot_be_withheld_is_refused(tmp_path):
    table = made_table("patients")
    table["senior"] = table["doctor"].str[1:].astype(int) % 2
    cases = made_cases(table, "patients")
    results = judged(cases, ok.ModelSpec(doctor_level="senior"))
    with pytest.raises(SpecError, match="doctor_level"):
        report(*results, path=tmp_path / "r.html", suppress_below=BELOW)
    results = judged(cases, ok.ModelSpec())
    with pytest.raises(SpecError, match="checks=None"):
        report(
            *results,
            path=tmp_path / "r.html",
            suppress_below=BELOW,
            checks=[ok.check_sampling(results[0])],
        )
    ok.save_fit(judged(cases, ok.ModelSpec(case_mix="senior"))[0], tmp_path / "fit.nc")
    loaded = ok.load_fit(tmp_path / "fit.nc")
    rates = ok.standardize(loaded)
    with pytest.raises(SpecError, match="loaded from a file"):
        publish(loaded, rates, ok.rank(rates), ok.classify(rates), below=BELOW)


def run(table, out, *arguments):
    path = out.with_suffix(".csv")
    table.to_csv(path, index=False)
    argv = ["evaluate", str(path), "--outcome", "died", "--doctor", "doctor", "--direction"]
    return main([*argv, "lower", "--draws", "200", "--out", str(out), *arguments])


def public_bytes(out):
    """Every file of a folder, without the moment at which it was made."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.suffix == ".html":
            found[path.name] = normalized(path)
        elif path.name == "provenance.json":
            record = json.loads(path.read_text(encoding="utf-8"))
            found[path.name] = {k: v for k, v in record.items() if k not in ("created", "seconds")}
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


def test_every_file_that_leaves_the_house_is_the_same_whoever_has_the_patients(tmp_path, capsys):
    table = made_table("patients")
    mask = mask_of(made_cases(table, "patients"), None, "patients")
    hidden = mask.index[mask]
    tried = (exchange_rows(table, hidden, seed) for seed in range(100))
    other = next(
        one for one in tried if mask_of(made_cases(one, "patients"), None, "patients").equals(mask)
    )
    assert run(table, tmp_path / "one", "--suppress-below", "10") == 0
    private = tmp_path / "kept"
    arguments = ("--suppress-below", "10", "--private-dir", str(private))
    assert run(other, tmp_path / "other", *arguments) == 0
    first, second = public_bytes(tmp_path / "one"), public_bytes(tmp_path / "other")
    assert first.keys() == second.keys()
    assert {"doctors.csv", "model.csv", "report.html", "provenance.json", "funnel.png"} < set(first)
    assert not [name for name in first if first[name] != second[name]]
    assert "fit.nc" not in first
    said = capsys.readouterr().out
    assert "must not leave the house" in said and str(private) in said
    for kept in (tmp_path / "one-private", private):
        assert {path.name for path in kept.iterdir()} == {"fit.nc", "doctors.csv"}
    whole = pd.read_csv(private / "doctors.csv", index_col="doctor")
    assert whole["observed"].to_dict() == other.groupby("doctor")["died"].sum().to_dict()


def test_the_private_folder_lies_apart_and_old_files_are_not_published(tmp_path, capsys):
    table, out = made_table("patients"), tmp_path / "out"
    for inside in (out, out / "private", tmp_path):
        assert run(table, out, "--suppress-below", "10", "--private-dir", str(inside)) == 2
        assert "must lie apart from --out" in capsys.readouterr().err
    assert run(table, out, "--private-dir", str(tmp_path / "kept")) == 2
    assert "Add --suppress-below N" in capsys.readouterr().err
    out.mkdir()
    (out / "fit.nc").write_bytes(b"of another run")
    assert run(table, out, "--suppress-below", "10") == 2
    assert "it holds 1 other file, the first 'fit.nc'" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["fit.nc"]
    assert run(table, tmp_path / "new", "--suppress-below", "1") == 2
    assert "--suppress-below must be a whole number of at least 2" in capsys.readouterr().err


def test_the_demonstration_can_be_withheld_too(tmp_path):
    assert main(["demo", str(tmp_path / "demo"), "--suppress-below", "10"]) == 0
    table = pd.read_csv(tmp_path / "demo" / "doctors.csv")
    assert (table["observed"] >= 10).all() and (table["cases"] - table["observed"] >= 10).all()
    assert not (tmp_path / "demo" / "fit.nc").exists()
    assert (tmp_path / "demo-private" / "fit.nc").exists()
