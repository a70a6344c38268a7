import re

import numpy as np
import pytest

import outcomekpi as ok


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(1)
    reading = rng.normal(138, 17, 3000)
    fitted = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    six = ok.ConsecutiveCriterion(bar=140, cv=0.1)
    setting = ok.Setting(levels=(0.6,), caseloads=(25,), icc=0.05)
    rule = ok.ChangeRule(by=0.1)
    return {
        "criterion": ok.assess_criterion(six, [120, 140]),
        "joint": ok.assess_criterion(ok.JointCriterion(first=six, second=six), [[120, 140]]),
        "drop": ok.assess_criterion(ok.DropCriterion(drop=1, cv=0.1), [7], baseline=[8]),
        "cells": ok.density_test(reading.round(), 140),
        "jump": ok.density_test(reading, 140),
        "exceptions": ok.exception_jump(reading, rng.random(3000) < 0.1, bar=140),
        "deselection": ok.deselect(fitted, drop=(1,), draws=400),
        "rewards": ok.rewards_without_effect(rule, setting, instead=rule),
    }


NAMES = ("criterion", "joint", "drop", "cells", "jump", "exceptions", "deselection", "rewards")
TABLES = [
    *((name, "to_frame") for name in NAMES),
    *((name, "summary") for name in ("criterion", "joint", "drop", "deselection")),
    ("exceptions", "distance_frame"),
]


@pytest.mark.parametrize(("name", "method"), TABLES)
def test_tables_hold_what_their_docstring_names(name, method, made):
    result = made[name]
    table = getattr(result, method)()
    documented = set()
    for listed in re.findall(r"``([^`]+)``", getattr(type(result), method).__doc__):
        documented |= {column.strip() for column in listed.split(",")}
    assert set(table.columns) <= documented
    if table.index.name == "quantity":
        assert set(table.index) <= documented


@pytest.mark.parametrize("name", NAMES)
def test_results_show_themselves_in_one_line_and_in_a_short_table(name, made):
    assert "\n" not in repr(made[name])
    assert len(repr(made[name])) < 300
    assert made[name]._repr_html_().count("<tr") < 30
