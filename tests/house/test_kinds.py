"""Every public verb says in one sentence that it was handed something of another kind."""

import inspect

import pytest

import outcomekpi as ok
from outcomekpi import SpecError


class Wrong:
    """Nothing that any verb takes."""


def verbs():
    """Public functions whose first argument is one record of the package."""
    for name in sorted(n for n in dir(ok) if not n.startswith("_")):
        verb = getattr(ok, name)
        if not inspect.isfunction(verb):
            continue
        first = next(iter(inspect.signature(verb).parameters.values()), None)
        kind = None if first is None else first.annotation
        is_protocol = getattr(kind, "_is_protocol", False)
        if inspect.isclass(kind) and "outcomekpi" in kind.__module__ and not is_protocol:
            yield name


def call_with(name: str, wrong: object):
    verb = getattr(ok, name)
    parameters = inspect.signature(verb).parameters
    given = {
        p.name: None
        for p in parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    return verb(**given | {next(iter(parameters)): wrong})


@pytest.mark.parametrize("name", list(verbs()))
def test_another_kind_is_named(name):
    first = next(iter(inspect.signature(getattr(ok, name)).parameters.values()))
    with pytest.raises(SpecError, match="got Wrong") as caught:
        call_with(name, Wrong())
    assert str(caught.value).startswith(f"{first.name} must be {first.annotation.__name__}, as ")


def test_the_verbs_are_found():
    found = set(verbs())
    assert {"plot_caterpillar", "plot_funnel", "classify", "fit", "pay"} <= found
    assert len(found) > 35


@pytest.fixture(scope="module")
def rates():
    fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=200)
    return ok.standardize(fit)


def test_limits_are_no_rates(rates):
    with pytest.raises(SpecError, match=r"rates must be StandardizedRates.*got FunnelLimits"):
        ok.plot_funnel(ok.funnel_limits(rates))


@pytest.mark.parametrize("verb", ["plot_funnel", "plot_caterpillar"])
def test_ranks_are_no_flags(rates, verb):
    with pytest.raises(SpecError, match=r"flags must be Classification.*got Ranks"):
        getattr(ok, verb)(rates, flags=ok.rank(rates))
