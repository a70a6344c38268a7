"""Small rules of one's own, as a user would write them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NinetySixty:
    upper: float = 0.9
    lower: float = 0.6
    cycles: int = 2

    def decide(self, results):
        rates = results.rates[:, :, -self.cycles :].mean(axis=1)
        easy, hard = (rates > self.upper).all(axis=1), (rates < self.lower).all(axis=1)
        return easy.astype(int) - hard


@dataclass(frozen=True)
class EachAboveBar:
    bar: float = 0.7
    cycles: int = 1
    strict: bool = False

    def decide(self, results):
        latest = results.latest(self.cycles)
        rates = latest.events.sum(axis=2) / latest.trials.sum(axis=2)
        return rates > self.bar if self.strict else rates >= self.bar


@dataclass(frozen=True)
class PaidInProportion:
    """Pay rises from nothing at the lower to 1 at the upper rate, as in the NHS framework."""

    lower: float = 0.5
    upper: float = 0.9
    cycles: int = 1

    def decide(self, results):
        rate = results.rates[:, :, -1]
        return np.clip((rate - self.lower) / (self.upper - self.lower), 0, 1)


@dataclass(frozen=True)
class BestShare:
    """The best share of the units by their latest rate; the order of the units breaks ties."""

    share: float = 0.5
    cycles: int = 1

    def decide(self, results):
        rates = results.rates[:, :, -1]
        best = round(self.share * rates.shape[1])
        awarded = np.zeros(rates.shape, dtype=bool)
        np.put_along_axis(
            awarded, np.argsort(-rates, axis=1, kind="stable")[:, :best], True, axis=1
        )
        return awarded
