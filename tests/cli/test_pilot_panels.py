"""`outcomekpi pilot` for panels: the periods that chose the units, and who counts alike."""

import shlex

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel

from outcomekpi.cli import main

pytest.importorskip("diff_diff", reason="the extra 'did' is not installed")
PANEL = (
    "--design did --outcome rate --unit ward --time year --start start --direction higher --quick"
)


@pytest.fixture
def run(tmp_path, capsys):
    """Evaluate a panel; return exit code, what was said, and the folder."""

    def evaluate(arguments, table):
        table.to_csv(tmp_path / "panel.csv", index=False)
        argv = ["pilot", str(tmp_path / "panel.csv"), *shlex.split(arguments)]
        code = main([*argv, "--out", str(tmp_path / "out"), "--draws", "300"])
        captured = capsys.readouterr()
        return code, captured.out + captured.err, tmp_path / "out"

    return evaluate


@pytest.mark.slow
def test_a_program_that_chose_by_the_baseline_needs_its_periods(run):
    code, said, folder = run(f"{PANEL} --selected-on-baseline", made_panel())
    assert code == 2 and not folder.exists()
    assert "Name these periods by --selected-in TIME: they are left out" in said
    assert "use --design before-after with --cutoff and --side" in said
    code, said, folder = run(f"{PANEL} --selected-on-baseline --selected-in 2003", made_panel())
    assert code == 0
    covariance = pd.read_csv(folder / "tables" / "event_study_covariance.csv")
    assert covariance.shape == (4, 5)
    assert "left out" in (folder / "report.html").read_text("utf-8")


def test_denying_the_choice_and_naming_its_periods_is_refused(run):
    options = f"{PANEL} --selected-on-baseline no --selected-in 2003"
    code, said, _ = run(options, made_panel())
    assert code == 2
    assert "--selected-in names periods" in said
    assert "the program says --selected-on-baseline no" in said


@pytest.mark.slow
def test_patients_may_count_alike_instead_of_units(run):
    frame = made_panel().assign(n=lambda f: np.where(f["ward"] < "w004", 900, 50))
    frame["rate"] = (frame["rate"] / 100 * frame["n"]).round()
    for weights in ("units", "patients"):
        code, said, _ = run(f"{PANEL} --trials n --weights {weights}", frame)
        assert code == 0
        assert f"{weights[:-1]}-weighted average effect on the treated" in said
    code, said, _ = run(f"{PANEL} --weights patients", frame)
    assert code == 2
    assert "--weights patients needs the patients of each unit and period: name --trials" in said
