"""`outcomekpi assess`: a hospital's export goes in, the outcome table comes out."""

import pandas as pd

from outcomekpi.cli.parser import main


def write(folder):
    folder.mkdir()
    tables = {
        "patients": "patient,birth_date,doctor\na,1960-01-01,x\nb,1960-01-01,y\n",
        "conditions": "patient,concepts,start\na,diabetes,2020-01-01\nb,diabetes,2020-01-01\n",
        "encounters": "patient,start,end\na,2026-03-01,2026-03-01\nb,2026-03-01,2026-03-01\n",
        "measurements": "patient,concepts,value,unit,start\na,hba1c,6.5,%,2026-03-01\n"
        "b,hba1c,75,mmol/mol,2026-03-01\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def run(indicator, tmp_path, *more):
    given = [indicator, str(tmp_path / "in"), "--start", "2026-01-01", "--end", "2026-12-31"]
    return main(["assess", *given, "--out", str(tmp_path / "out"), *more])


def test_the_folder_holds_verdicts_cases_quality_and_the_statement(tmp_path, capsys):
    write(tmp_path / "in")
    assert run("hba1c_on_target", tmp_path) == 0
    out = tmp_path / "out"
    verdicts = pd.read_csv(out / "verdicts.csv")
    assert verdicts["verdict"].tolist() == ["reached", "not reached"]
    assert pd.read_csv(out / "cases.csv")[["doctor", "reached"]].values.tolist() == [
        ["x", 1], ["y", 0],
    ]  # fmt: skip
    assert pd.read_csv(out / "quality.csv")["records"].sum() == 2
    assert "WITH RECURSIVE" in (out / "indicator.sql").read_text()
    assert "1 reached" in capsys.readouterr().out


def test_a_misspelt_key_is_one_readable_message(tmp_path, capsys):
    write(tmp_path / "in")
    (tmp_path / "x.toml").write_text('name = "x"\nsucess = "True"\n[find]\n')
    assert run(str(tmp_path / "x.toml"), tmp_path) == 2
    assert "Did you mean 'success'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_time_zone_says_whose_day_a_reading_is_on(tmp_path):
    write(tmp_path / "in")
    readings = "patient,concepts,value,unit,start\na,hba1c,6.5,%,2026-12-31T20:00:00Z\n"
    (tmp_path / "in" / "measurements.csv").write_text(readings)
    for zone, verdict in (("UTC", "reached"), ("Asia/Shanghai", "not reached")):
        assert run("hba1c_on_target", tmp_path, "--time-zone", zone) == 0
        verdicts = pd.read_csv(tmp_path / "out" / "verdicts.csv").set_index("patient")["verdict"]
        assert verdicts["a"] == verdict
