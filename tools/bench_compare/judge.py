"""The verdict."""

import math
import random
from dataclasses import dataclass
from enum import Enum
from statistics import median

from .estimate import Interval, Noise, bootstrap_interval, holm, trimmed_mean

# Stricter than the interval that is printed, which is right in 95 of 100 cases where rounds are independent draws: neighbouring
# rounds on a shared machine are not quite (tests/bench_compare/test_judge.py replays such machines).
SIGNIFICANCE = 0.02
# A against A is tested harder still: a refusal throws all of the work away, and mere noise is in the estimate of noise anyway.
NULL_SIGNIFICANCE = 0.002
# By default a difference below this is nobody's business: code alignment alone moves a kernel so far.
MIN_EFFECT = 0.01
RESAMPLES = 4000


class Verdict(Enum):
    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference that this machine can show"


@dataclass
class Series:
    """What was measured of one benchmark. Smaller values are better."""

    name: str
    unit: str
    a: list[float]  # every run's value, A's runs of the real rounds
    b: list[float]
    effects: list[float]  # one log ratio B/A a real round
    nulls: list[float]  # the same of null rounds


@dataclass
class Judgement:
    name: str
    unit: str
    median_a: float
    median_b: float
    effect: float  # log ratio
    interval: Interval  # of the effect
    p: float  # adjusted for the number of benchmarks
    null_effect: float  # what A against A came to
    null_p: float  # adjusted
    resolution: float  # half the width of a 95 % interval, from the noise of all rounds
    verdict: Verdict

    @property
    def ratio(self) -> float:
        return math.exp(self.effect)

    def null_differs(self, min_effect: float) -> bool:
        return self.null_p < NULL_SIGNIFICANCE and abs(self.null_effect) > min_effect


def judge(series: list[Series], min_effect: float = MIN_EFFECT, resamples: int = RESAMPLES, seed: int = 1) -> list[Judgement]:
    """Three things must hold for "faster" or "slower": the interval leaves zero out; chance alone would hardly do it, counting
    all the benchmarks that were looked at; and the effect is larger than `min_effect` and than what A against A came to.
    """
    rng = random.Random(seed)
    min_log = math.log1p(min_effect)
    effects = [trimmed_mean(one.effects) for one in series]
    null_effects = [trimmed_mean(one.nulls) for one in series]
    noises = [Noise.of(one.effects, one.nulls) for one in series]
    p_values = holm([noise.p_of(e, len(one.effects)) for noise, e, one in zip(noises, effects, series)])
    null_ps = holm([noise.p_of(e, len(one.nulls)) for noise, e, one in zip(noises, null_effects, series)])
    out = []
    for one, noise, effect, null_effect, p, null_p in zip(series, noises, effects, null_effects, p_values, null_ps):
        interval = bootstrap_interval(one.effects, resamples, rng)
        differs = interval.excludes(0.0) and p < SIGNIFICANCE and abs(effect) > max(min_log, abs(null_effect))
        verdict = Verdict.NO_DIFFERENCE if not differs else Verdict.SLOWER if effect > 0 else Verdict.FASTER
        out.append(Judgement(one.name, one.unit, median(one.a), median(one.b), effect, interval, p, null_effect, null_p,
                             noise.half_width(len(one.effects)), verdict))
    return out
