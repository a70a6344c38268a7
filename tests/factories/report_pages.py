"""Pages read back: their outline, hostile names, and what they are made from."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_fits import fit_with_draws

import outcomekpi as ok
from outcomekpi.pages.document import report

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(2)',
    "--><img src=x onerror=alert(3)>",
    "{{ 7*7 }}{% raw %}",
    "</style></title>",
    "$x^{2",
    "a&b'c",
    "=1+1",
]


def made_fit(*, labels=None, n_doctors=8, direction="lower", family="bernoulli", seed=1, **more):
    """A fit of doctors with 12 to 60 cases, whose draws are made to scatter around an effect."""
    rng = np.random.default_rng(seed)
    if labels is not None:
        n_doctors = len(labels)
    cases = rng.integers(12, 60, n_doctors)
    code = np.repeat(np.arange(n_doctors), cases)
    effect = np.linspace(-1.2, 1.2, n_doctors)
    if family == "bernoulli":
        outcome = rng.random(code.size) < 1 / (1 + np.exp(1 - effect[code]))
    elif family == "poisson":
        outcome = rng.poisson(np.exp(-3 + effect[code]) * 2.0)
        more["exposure"] = np.full(code.size, 2.0)
    else:
        outcome = 60 + 5 * effect[code] + rng.normal(0, 4, code.size)
        more["sd_residual"] = 4.0
    scale = 5.0 if family == "gaussian" else 1.0
    intercept = {"bernoulli": -1.0, "poisson": -3.0, "gaussian": 60.0}[family]
    fit = fit_with_draws(
        family=family,
        doctor_code=code,
        outcome=outcome,
        effect=scale * (effect[:, None] + rng.normal(0, 0.25, (n_doctors, 200))),
        intercept=np.full(200, intercept),
        sd_doctor=np.abs(rng.normal(0.7, 0.1, 200)) * scale,
        direction=direction,
        labels=labels,
        **more,
    )
    if family == "poisson":
        roles = {**fit.cases.roles, "exposure": "patient-days"}
        fit = replace(fit, cases=replace(fit.cases, roles=roles))
    return fit


def judged(fit, rule=None):
    rates = ok.standardize(fit)
    return fit, rates, ok.rank(rates), ok.classify(rates, rule)


def written(fit, tmp_path, *, rule=None, checks=(), **choices):
    path = report(*judged(fit, rule), path=tmp_path / "report.html", checks=checks, **choices)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(made_fit(), tmp_path_factory.mktemp("report"))


class Outline(HTMLParser):
    """Tags, attributes and visible text of a page, as a browser would see them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.ids = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in ("style", "script"):
            self.text.append(data)
