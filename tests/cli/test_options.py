"""Every option of the command line is run: the list comes from the parser, the values from here.

A new option fails `test_every_option_has_values_that_work` until it has an entry in OPTIONS.
"""

import re
import shlex

import pytest
from made_commands import COMMANDS, TABLES

from outcomekpi.cli.parser import build_parser, main

pytestmark = pytest.mark.slow

# command -> option -> [(name in made_commands.COMMANDS, what is added to it)]
EVALUATE = {
    "--outcome": ["--outcome died", "--outcome minutes --family gaussian"],
    "--doctor": ["--doctor surgeon", "--doctor clinic"],
    "--trials": ["--outcome events --trials size"],
    "--exposure": ["--outcome falls --exposure days"],
    "--hospital": ["--hospital clinic"],
    "--patient": ["--patient id"],
    "--period": ["--period year --patient id"],
    "--adjust": ["--adjust 'age + C(sex) + I(age**2)'"],
    "--event": ["--outcome state --event dead"],
    "--no-event": ["--outcome state --event dead --no-event alive"],
    "--missing": ["--missing error", "--missing drop"],
    "--family": [
        "--family bernoulli", "--outcome events --trials size --family binomial",
        "--outcome falls --exposure days --family poisson", "--outcome minutes --family gaussian",
    ],
    "--engine": ["--engine quadrature"],
    "--draws": ["--draws 120"],
    "--seed": ["--seed 0", "--seed 7"],
    "--direction": ["--direction higher", "--direction lower"],
    "--offset": ["--offset euroscore --offset-scale probability"],
    "--offset-scale": [
        "--offset euroscore --offset-scale probability",
        "--offset log_odds --offset-scale linear_predictor",
        "--outcome falls --family poisson --offset forecast --offset-scale expected_count",
        "--outcome minutes --family gaussian --offset planned --offset-scale expected_value",
    ],
    "--benchmark": ["--benchmark overall", "--benchmark .4"],
    "--average-doctor": ["--average-doctor population", "--average-doctor median"],
    "--dates": ["--dates dmy", "--dates mdy", "--dates ymd"],
    "--decimal": ["--decimal ."],
    "--thousands": ["--thousands ,"],
    "--missing-marks": ["--missing-marks 缺失 'Not Available'"],
    "--suppress-below": ["--suppress-below 3"],
    "--private-dir": ["--suppress-below 3 --private-dir {private}"],
    "--threshold": ["--threshold .5"],
    "--probability": ["--probability .9"],
    "--level": ["--level .8"],
    "--out": [""],
}  # fmt: skip
THRESHOLDS = {
    "--indicator": ["--indicator indicator"],
    "--cycle": ["--cycle year"],
    "--numerator": ["--numerator reached"],
    "--denominator": ["--denominator patients"],
    "--completion": ["--numerator '' --completion share"],
    "--unit": ["--unit unit"],
    "--target": ["--target goal --reading share_of_doctors --counts events"],
    "--counts": ["--counts events", "doctors: --counts doctors"],
    "--percent": ["--percent"],
    "--cycle-order": ["--cycle-order 2020 2021 2022 2023"],
    "--cycle-unit": ["--cycle half --cycle-unit half-year"],
    "--dates": ["--dates dmy", "--dates mdy", "--dates ymd"],
    "--decimal": ["--decimal ."],
    "--thousands": ["--thousands ,"],
    "--missing-marks": ["--missing-marks 缺失 'Not Available'"],
    "--suppress-below": ["--suppress-below 5"],
    "--reading": [
        "--reading raw_rate", "--reading share_of_doctors --target goal --counts events",
        "--reading mean_achievement --target .6",
    ],
    "--upper": ["--upper .8"],
    "--lower": ["--lower .5"],
    "--cycles": ["--cycles 3"],
    "--inclusive": ["--inclusive"],
    "--cycle-length": [
        f"--cycle-length {length}" for length in ("month", "quarter", "half-year", "year")
    ],
    "--wanted": ["--wanted .6 .8"],
    "--loss-false": ["--loss-false 3 --loss-missed 1"],
    "--loss-missed": ["--loss-false 3 --loss-missed 2"],
    "--fdr": ["--fdr .1"],
    "--model": ["--model conjugate", "--model hierarchical"],
    "--level": ["--level .8"],
    "--draws": ["--draws 120"],
    "--seed": ["--seed 7"],
    "--out": [""],
}  # fmt: skip
SELECTED = "--outcome a1c --family gaussian --patient id"
POPULATION = "--population-mean 7.5 --population-sd 1 --reliability .7"
PILOT = {
    # published figures
    "--before": ["figures: --before 40"],
    "--after": ["figures: --after 60", "before-after: --after after"],
    "--change": ["only: --change 20 --reading points --percent"],
    "--percent": ["figures: --percent"],
    "--reading": [
        "figures: --reading levels", "only: --change 20 --reading relative --percent",
        "only: --change 20 --reading points --percent",
    ],
    "--years": ["figures: --years 3"],
    "--n-before": ["figures: --n-before 200"],
    "--n-after": ["figures: --n-after 200"],
    "--rounding": ["figures: --rounding .5"],
    "--no-priors": ["figures: --no-priors"],
    "--trend": ["figures: --trend -1 2"],
    "--regression": [
        "figures: --regression 0 5", "figures: --regression 2 9", "figures: --regression -2 5",
        "figures: --regression 3 3", "figures: --regression 0 0",
    ],
    "--attrition": ["figures: --attrition .01 .2"],
    "--source": ["figures: --source 'a report'"],
    # tables
    "--design": [
        f"{name}: --design {name}" for name, (command, *_) in COMMANDS.items()
        if command == "pilot" and name not in ("figures", "stepped-means")
    ],
    "--outcome": ["before-after: --outcome a1c --family gaussian"],
    "--time": ["before-after: --time period"],
    "--unit": ["did: --unit ward"],
    "--doctor": ["before-after: --doctor doctor"],
    "--hospital": ["before-after: --hospital hospital"],
    "--patient": ["before-after: --patient id"],
    "--control": ["controlled: --control other"],
    "--trials": [
        "interrupted: --outcome hits --trials tries --family binomial",
        "did: --outcome good --trials n",
    ],
    "--exposure": ["interrupted: --outcome falls --exposure days --family poisson"],
    "--control-trials": [
        "controlled: --outcome hits --trials tries --control other_hits "
        "--control-trials other_tries --family binomial"
    ],
    "--control-exposure": [
        "controlled: --outcome falls --exposure days --control hits --control-exposure other_days "
        "--family poisson"
    ],
    "--cluster": ["before-after: --hospital hospital --cluster hospital", "did: --cluster site"],
    "--patients": ["stepped-means: --outcome mean --patients n"],
    "--start": ["interrupted: --start 19", "before-after: --after '' --time when --start 2024"],
    # method
    "--adjust": ["before-after: --adjust 'age + I(age**2)'", "did: --adjust heat"],
    "--family": [
        "before-after: --family bernoulli", "did: --outcome yes --estimator etwfe --family logit",
        "interrupted: --outcome falls --exposure days --family poisson",
    ],
    "--event": [
        "before-after: --outcome word --event yes",
        "stepped-wedge: --outcome word --event yes --family binomial",
    ],
    "--outcome-unit": ["interrupted: --outcome-unit %", "stepped-wedge: --outcome-unit points"],
    "--estimator": [
        f"did: --estimator {name}" for name in ("callaway_santanna", "2x2", "etwfe", "event_study")
    ],
    "--method": [
        "interrupted: --method reml", "interrupted: --method prais_winsten",
        *(f"synthetic: --method {name}" for name in ("sdid", "sc", "did")),
    ],
    "--inference": [
        f"before-after: --inference {name}" for name in ("t", "wild_bootstrap", "cluster_bootstrap")
    ],
    "--engine": ["doctor-effects: --engine quadrature"],
    "--shape": [f"interrupted: --shape '{name}'" for name in ("level and slope", "level", "slope")],
    "--control-as": ["controlled: --control-as difference", "controlled: --control-as covariate"],
    "--control-group": [
        "did: --control-group never_treated", "did: --control-group not_yet_treated"
    ],
    "--rows": ["did: --rows unit_periods", "did: --rows patients"],
    "--compare": ["before-after: --patient id --compare stayers", "before-after: --compare all"],
    "--standard": ["before-after: --adjust age --standard average"],
    "--exposure-effect": [
        f"stepped-wedge: --exposure-effect '{name}'" for name in ("constant", "linear", "by period")
    ],
    "--correlation": [
        "stepped-wedge: --correlation exchangeable",
        "stepped-wedge: --correlation 'nested exchangeable'",
    ],
    "--gaps": ["interrupted: --gaps error", "interrupted: --gaps missing"],
    "--missing": ["stepped-wedge: --missing error", "stepped-wedge: --missing drop"],
    "--order": ["interrupted: --order 2"],
    "--group": ["controlled-before-after: --group ward"],
    "--treated": ["controlled-before-after: --treated B"],
    "--assigned": [
        "controlled-before-after: --assigned groups",
        "controlled-before-after: --assigned patients",
    ],
    "--weights": ["did: --weights units", "did: --outcome good --trials n --weights patients"],
    "--time-unit": ["interrupted: --time half --start 2010-1 --time-unit half-year"],
    "--time-zone": [
        "before-after: --after '' --time seen --start 2024-01-01 --time-zone Europe/Berlin"
    ],
    "--other-interruptions": ["interrupted: --other-interruptions 10"],
    "--other-shape": ["interrupted: --other-interruptions 10 --other-shape level"],
    "--selected-in": ["did: --selected-on-baseline yes --selected-in 3 4"],
    "--dates": [
        f"interrupted: --outcome hits --trials tries --family binomial --dates {order}"
        for order in ("dmy", "mdy", "ymd")
    ],
    "--decimal": ["interrupted: --outcome hits --trials tries --family binomial --decimal ."],
    "--thousands": ["interrupted: --outcome hits --trials tries --family binomial --thousands ,"],
    "--missing-marks": [
        "interrupted: --outcome hits --trials tries --family binomial --missing-marks 缺失 NN"
    ],
    "--suppress-below": [
        "interrupted: --outcome hits --trials tries --family binomial --suppress-below 3"
    ],
    "--season": ["interrupted: --season 12"],
    "--harmonics": ["interrupted: --season 12 --harmonics 1"],
    "--horizon": ["interrupted: --horizon 6"],
    "--ramp-up-periods": ["interrupted: --ramp-up-periods 2"],
    "--range": ["before-after: --outcome a1c --family gaussian --range 4 14"],
    # selection
    "--selected-on-baseline": [
        "before-after: {selected} --cutoff 5 --side above {population} "
        f"--selected-on-baseline {word}"
        for word in ("yes", "")
    ]
    + ["figures: --selected-on-baseline no"],
    "--cutoff": ["before-after: {selected} --cutoff 5 --side above {population}"],
    "--side": [
        "before-after: {selected} --cutoff 5 --side above {population}",
        "before-after: {selected} --cutoff 11 --side below {population}",
    ],
    "--second-baseline": [
        "before-after: {selected} --cutoff 5 --side above --second-baseline screen"
    ],
    "--baseline": [
        "before-after: --outcome reached --patient id --cutoff 5 --side above {population} "
        "--baseline screen --target 8"
    ],
    "--target": [
        "before-after: --outcome reached --patient id --cutoff 5 --side above {population} "
        "--baseline screen --target 8"
    ],
    "--population-mean": [
        "before-after: {selected} --cutoff 5 --side above {population}"
    ],
    "--population-sd": [
        "before-after: {selected} --cutoff 5 --side above {population}"
    ],
    "--reliability": [
        "before-after: {selected} --cutoff 5 --side above --population-mean 7.5 "
        "--population-sd 1 --reliability .7"
    ],
    "--chosen": ["before-after: --chosen picked"],
    "--chosen-by": [
        "before-after: --chosen picked --chosen-by doctor",
        "before-after: --hospital hospital --chosen picked_site --chosen-by hospital",
    ],
    # facts and output
    "--program": ["figures: --program {toml}"],
    **{
        f"--{name}": [f"figures: --{name} 'some words'"]
        for name in (
            "name", "assignment", "ramp-up", "co-interventions", "attribution", "numerator",
            "denominator", "harms", "measurement-changes",
        )
    },
    "--other-outcomes": ["figures: --other-outcomes cost deaths", "figures: --other-outcomes"],
    "--direction": ["figures: --direction higher", "figures: --direction lower"],
    "--level": ["figures: --level .8"],
    "--draws": ["figures: --draws 250"],
    "--seed": ["figures: --seed 7"],
    "--quick": ["interrupted: --quick"],
    "--title": ["figures: --title 'A pilot'"],
    "--out": ["figures: "],
}  # fmt: skip
EVALUATED = (
    "--outcome", "--doctor", "--trials", "--exposure", "--hospital", "--patient", "--period",
    "--adjust", "--event", "--no-event", "--offset", "--decimal", "--thousands",
    "--missing-marks",
)  # fmt: skip
REVIEWED = (
    "--indicator", "--cycle", "--numerator", "--denominator", "--completion", "--unit", "--target",
    "--percent", "--cycle-order", "--cycle-unit",
)  # fmt: skip
CHECK = {
    "--as": ["check: --as cases", "check_history: --as history", "check_records: --as records"],
    "--patients": ["check_records: --patients {people}"],
    "--encounters": ["check_records: --encounters {encounters}"],
    "--months": ["check_records: --months 12"],
    "--measures": ["check_records: --measures hba1c"],
    **{name: [f"check: {EVALUATE[name][0]}"] for name in EVALUATED},
    **{
        name: [f"check_history: {THRESHOLDS[name][0].partition(' --reading')[0]}"]
        for name in REVIEWED
    },
    "--missing": ["check: --missing error", "check: --missing drop"],
    "--dates": ["check: --dates dmy", "check: --dates mdy", "check: --dates ymd"],
    "--direction": ["check: --direction lower", "check: --direction higher"],
    "--offset-scale": ["check: --offset log_odds --offset-scale linear_predictor"],
    "--counts": ["check_history: --counts events", "check_history: --counts doctors"],
    "--out": ["check: "],
}
OPTIONS = {
    "evaluate": {name: [f"evaluate: {a}" for a in added] for name, added in EVALUATE.items()},
    "thresholds": {
        name: [a if a.startswith("doctors:") else f"thresholds: {a}" for a in added]
        for name, added in THRESHOLDS.items()
    },
    "pilot": PILOT,
    "check": CHECK,
    "demo": {"--suppress-below": [], "--private-dir": []},  # in test_suppression_cli.py
    "assess": {"--start": [], "--end": [], "--time-zone": [], "--out": []},  # in test_assess.py
}
SLOW = {("evaluate", "--engine", "nuts"), ("pilot", "--engine", "nuts")}
"""Minutes of sampling: engine/test_nuts.py, pilots/designs/test_doctor_effects.py have them."""
RUNS = [
    (command, option, text)
    for command, options in OPTIONS.items()
    for option, texts in options.items()
    for text in texts
]


def parsers():
    subparsers = next(a for a in build_parser()._actions if a.dest not in ("help", "version"))
    return subparsers.choices


def actions(command):
    return [action for action in parsers()[command]._actions if action.dest != "help"]


def test_every_command_is_here():
    assert set(parsers()) == set(OPTIONS)


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option_has_values_that_work(command):
    known = {name for action in actions(command) for name in action.option_strings}
    lacking = sorted(known - set(OPTIONS[command]))
    assert not lacking, f"add values of {lacking} to OPTIONS[{command!r}] in {__file__}"
    assert not sorted(set(OPTIONS[command]) - known), "options that the command does not have"


@pytest.mark.parametrize("command", OPTIONS)
def test_every_word_that_the_help_offers_is_run(command):
    for action in actions(command):
        metavars = [action.metavar] if isinstance(action.metavar, str) else action.metavar or []
        words = {word for text in metavars for word in text.split("|")}
        words = {word for word in words if re.fullmatch("[a-z][a-z_-]*", word)}
        option = action.option_strings[0] if action.option_strings else None
        tried = {word for text in OPTIONS[command].get(option, []) for word in shlex.split(text)}
        lacking = {w for w in words - tried if (command, option, w) not in SLOW}
        assert not lacking, f"{command} {option}: {sorted(lacking)} are offered and not run"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, make in TABLES.items():
        make().to_csv(folder / f"{name}.csv", index=False)
    (folder / "facts.toml").write_text('name = "a pilot"\nselected_on_baseline = false\n')
    return folder


@pytest.fixture
def no_pages(monkeypatch):
    """Options are about what is computed: pages and figures have tests of their own."""
    for module, report in (
        ("evaluation", "write_report"),
        ("review", "write_review"),
        ("pilot", "report_pilot"),
    ):
        home = f"outcomekpi.cli.{module}"
        if module != "evaluation":
            monkeypatch.setattr(f"{home}.save_figures", lambda folder, *_, **__: folder.mkdir())
        monkeypatch.setattr(f"{home}.{report}", lambda *_, path, **__: path.write_text("page"))


@pytest.mark.parametrize(("command", "option", "text"), RUNS)
def test_every_documented_option_runs(command, option, text, tables, no_pages, tmp_path, capsys):
    name, _, added = text.partition(":")
    _, table, base = COMMANDS.get(name, ("pilot", None, "--draws 200"))
    argv = [command, *([str(tables / f"{table}.csv")] if table else []), *shlex.split(base)]
    added = added.replace("{toml}", str(tables / "facts.toml"))
    for other in ("people", "encounters"):
        added = added.replace(f"{{{other}}}", str(tables / f"{other}.csv"))
    added = added.replace("{private}", str(tmp_path / "private"))
    extra = shlex.split(added.replace("{selected}", SELECTED).replace("{population}", POPULATION))
    while "" in extra:  # an option of the base that this one excludes
        unwanted = extra[extra.index("") - 1]
        place = argv.index(unwanted)
        del argv[place : place + 2]
        place = extra.index("")
        del extra[place - 1 : place + 1]
    code = main([*argv, *extra, "--out", str(tmp_path / "out")])
    err = capsys.readouterr().err
    assert code == 0, err
    assert (tmp_path / "out" / "provenance.json").exists()


def test_the_demonstration_takes_a_folder(no_pages, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("outcomekpi.cli.demonstration.has_medpar", lambda: False)
    assert main(["demo", str(tmp_path / "demo")]) == 0
    assert "synthetic" in capsys.readouterr().out
