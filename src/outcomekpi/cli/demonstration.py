"""`outcomekpi demo`: the whole chain on an example, and what to look at in it."""

from pathlib import Path

from outcomekpi.cli.evaluation import N_STEPS, Choices, evaluate_cases
from outcomekpi.cli.folder import check_folder
from outcomekpi.cli.progress import show_progress
from outcomekpi.cli.publishing import Publishing
from outcomekpi.cli.summary import print_judgment
from outcomekpi.datasets.r_tables import has_medpar, load_medpar
from outcomekpi.model.spec import ModelSpec
from outcomekpi.simulation.made.synthetic import load_synthetic_cases
from outcomekpi.tables.cases import Cases

__all__ = ["demonstrate"]

MEDPAR = """\
Data: medpar, 1,495 real Medicare patients of 54 hospitals. It has no doctors, so the hospitals
stand in the doctor's place. Outcome: death, adjusted for hmo, age80 and C(type)."""
SYNTHETIC = """\
Data: a synthetic set that comes with the package (1,500 patients of 40 surgeons, none of them
real), because medpar is not installed: pip install 'outcomekpi[examples]' brings it.
Outcome: death, adjusted for age, sex and charlson."""


def demonstrate(out: Path, *, publishing: Publishing) -> None:
    """Evaluate medpar where it is installed, else the synthetic set; say which."""
    check_folder(out)
    if publishing.private is not None:
        check_folder(publishing.private)
    if has_medpar():
        print(MEDPAR)
        cases = Cases.from_frame(load_medpar(), outcome="died", doctor="provnum", direction="lower")
        spec = ModelSpec(case_mix="hmo + age80 + C(type)")
        title = "Deaths in 54 hospitals (medpar, 1991)"
    else:
        print(SYNTHETIC)
        cases = load_synthetic_cases()
        spec = ModelSpec(case_mix="age + sex + charlson")
        title = "Deaths of the patients of 40 surgeons (synthetic)"
    with show_progress(N_STEPS) as step:
        choices = Choices(title=title, publishing=publishing)
        judgment = evaluate_cases(cases, spec, choices=choices, out=out, step=step)
    print_judgment(judgment, out, private=publishing.private)
    print(f"""
Open {out / "report.html"} in a browser and look at three things:
  1. the answer at the top: who stands out, how sure that is, and how much of it is luck;
  2. the table of doctors: an interval that crosses the line does not tell a doctor from the rest;
  3. the picture of the ranks: how wide they are, before anyone reads much into a single place.""")
