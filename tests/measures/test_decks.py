"""Published test patients get the published answer, patient by patient, in every population."""

from pathlib import Path

import pandas as pd
import pytest

from outcomekpi.measures.assess import assess
from outcomekpi.measures.definition import read_indicator
from outcomekpi.records.records import Records

HERE = Path(__file__).parent
FOUND = [p / "shared" / "decks" for p in HERE.parents if (p / "shared" / "decks").is_dir()]
DECKS = FOUND[0] if FOUND else HERE
needs_decks = pytest.mark.skipif(not FOUND, reason="the published decks are not here")
TABLES = (
    "patients",
    "encounters",
    "conditions",
    "measurements",
    "medications",
    "procedures",
    "orders",
)


def deck(name, shuffle):
    folder = DECKS / name
    tables = {
        t: pd.read_csv(folder / f"{t}.csv", dtype=str, keep_default_na=False)
        for t in TABLES
        if (folder / f"{t}.csv").is_file()
    }
    tables = {t: f.sample(frac=1, random_state=shuffle) for t, f in tables.items()}
    expected = pd.read_csv(folder / "expected.csv", dtype=str, keep_default_na=False)
    # the further rows of a stratum repeat the measure or its complement, not a membership
    expected = expected[expected["stratum"] == ""].set_index("patient").sort_index()
    return Records.from_frames(tables), expected


def populations(verdicts, patients):
    by_patient = verdicts.set_index("patient")["verdict"].reindex(sorted(patients))
    judged = by_patient.notna()
    return pd.DataFrame(
        {
            "initial_population": judged,
            "denominator": judged,
            "denominator_exclusion": by_patient == "excluded",
            "numerator": by_patient == "reached",
        }
    ).astype(int)


@needs_decks
@pytest.mark.parametrize("shuffle", [1, 2])
@pytest.mark.parametrize("name", ["CMS130", "CMS314", "CMS951"])
def test_every_patient_of_a_deck_gets_the_published_populations(name, shuffle):
    records, expected = deck(name, shuffle)
    indicator = read_indicator(HERE / "decks" / f"{name}.toml")
    found = assess(records, indicator, start="2026-01-01", end="2026-12-31").to_frame()
    ours = populations(found, expected.index)
    for population in [c for c in ours if c in expected]:
        wrong = ours[population] != expected[population].astype(int)
        assert not wrong.any(), f"{population}: {list(expected.index[wrong])}"


@needs_decks
def test_days_covered_are_those_that_were_printed():
    fills = pd.read_csv(DECKS / "pdc" / "montavon_fills.csv", dtype=str)
    published = pd.read_csv(DECKS / "pdc" / "montavon_published.csv").set_index("patient")
    tables = {"patients": fills[["patient"]].drop_duplicates(), "medications": fills}
    indicator = read_indicator(HERE / "decks" / "pdc.toml")
    found = assess(
        Records.from_frames(tables), indicator, start="2022-01-01", end="2022-12-31"
    ).facts.set_index("patient")
    assert found["covered_days"].astype(int).to_dict() == published["days_covered"].to_dict()
    assert found["treatment_days"].to_dict() == published["days_in_period"].to_dict()
    # printed with six digits
    assert (found["share_covered"] - published["pdc"]).abs().max() <= 5e-7
