"""From rounds to an effect, its interval and its probability.

The unit is the round, not the run and not the iteration: runs that follow each other share the machine's mood, so only
whole rounds may be treated as independent draws. Everything is in logarithms of ratios, in which "twice as slow" and
"twice as fast" are equally far from nothing.
"""

import math
import random
from dataclasses import dataclass

from .student import normal_below, t_quantile, two_sided_p

# A fifth of the rounds is left out at either end: a round that a stranger disturbed does not move the estimate, and of
# undisturbed ones it costs a twentieth of the precision (Wilcox, Introduction to Robust Estimation, 2012).
TRIM = 0.2
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        return value < self.low or value > self.high


def trimmed_count(n: int) -> int:
    """How many of n values are left out at either end."""
    return int(TRIM * n)


def trimmed_mean(values: list[float]) -> float:
    cut = trimmed_count(len(values))
    kept = sorted(values)[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)


def winsorised_squares(values: list[float]) -> float:
    """The sum of squared deviations when the values that the mean leaves out are moved in to those next to them."""
    ordered = sorted(values)
    n, cut = len(ordered), trimmed_count(len(ordered))
    moved = [ordered[min(max(i, cut), n - 1 - cut)] for i in range(n)]
    mean = math.fsum(moved) / n
    return math.fsum((value - mean) ** 2 for value in moved)


@dataclass(frozen=True)
class Noise:
    """How much rounds vary, from several groups of them, each about a mean of its own."""

    variance: float  # of a trimmed mean of one round: divide by the number of rounds
    freedom: int

    @staticmethod
    def of(*groups: list[float]) -> "Noise":
        """Yuen's variance of the trimmed mean (1974), pooled over the groups."""
        freedom = sum(len(group) - 2 * trimmed_count(len(group)) - 1 for group in groups)
        squares = sum(winsorised_squares(group) for group in groups)
        rounds = sum(len(group) for group in groups)
        kept = sum(len(group) - 2 * trimmed_count(len(group)) for group in groups)
        # s² = squares / (h − 1), and the trimmed mean's variance is (n − 1) s_w² / (h (h − 1)).
        return Noise(squares / freedom * rounds / kept, freedom)

    def half_width(self, rounds: int) -> float:
        """Of a 95 % interval of the trimmed mean of `rounds` rounds: about the smallest effect that they can show."""
        return t_quantile(1.0 - LEVEL, self.freedom) * math.sqrt(self.variance / rounds)

    def p_of(self, effect: float, rounds: int) -> float:
        """How often a trimmed mean of `rounds` rounds is that far from zero where nothing differs."""
        if effect == 0.0:
            return 1.0
        error = math.sqrt(self.variance / rounds)
        return two_sided_p(effect / error if error > 0.0 else math.inf, self.freedom)


def bootstrap_interval(values: list[float], resamples: int, rng: random.Random) -> Interval:
    """A 95 % interval of the trimmed mean: rounds are drawn anew, with replacement.

    A plain percentile interval is too narrow for a dozen rounds; the percentiles are moved outward as Hesterberg has it
    (What Teachers Should Know About the Bootstrap, 2015, "expanded percentile").
    """
    n = len(values)
    if n < 2:
        return Interval(-math.inf, math.inf)
    tail = normal_below(-math.sqrt(n / (n - 1)) * t_quantile(1.0 - LEVEL, n - 1))
    means = sorted(trimmed_mean(rng.choices(values, k=n)) for _ in range(resamples))
    last = resamples - 1
    return Interval(means[math.floor(tail * last)], means[math.ceil((1.0 - tail) * last)])


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjustment (1979): the chance that any of them is below a level is at most that level."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = worst
    return adjusted
