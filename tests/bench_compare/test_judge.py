"""The instrument on real noise: traces of programs' timings, run after run (data/noise.json), in place of the programs. Heavy
tails, drifts and correlations are as they were recorded.

All were taken on a machine that others used. That hurts what takes turns with them in memory a little, and what wants all
processors for itself beyond use: on those traces, on which the instrument would refuse to judge, it must not see what is not
there, but cannot be expected to see 5 %."""

import json
import random
import unittest
from pathlib import Path

from bench_compare.judge import MIN_EFFECT, Judgement, Verdict, judge
from bench_compare.measure import Measurement, Plan, Side

TRACES = json.loads((Path(__file__).parent / "data" / "noise.json").read_text(encoding="utf-8"))["traces"]
CALM = [trace for trace in TRACES if not trace["too_busy_to_judge"]]
COMPARISONS = 100
REQUIRED = 95
FAMILY = 30
RESAMPLES = 400  # of the bootstrap; the verdict hardly moves with more


class Replayed(Measurement):
    """Runs that take no time: each run's value is the next of a trace, from a place in it chosen by chance."""

    def __init__(self, benchmarks: list[list[float]], slowdown: float, rng: random.Random) -> None:
        super().__init__(Side("A", []), Side("B", []), Plan(even_if_busy=True), report=lambda _line: None)
        self._benchmarks = benchmarks
        self._slowdown = slowdown
        self._next = rng.randrange(len(benchmarks[0]))

    def _run_side(self, side: Side) -> tuple[dict[str, float], bool]:
        names = [f"benchmark/{i}" for i in range(len(self._benchmarks))]
        side.units = {name: "s" for name in names}
        at = self._next
        self._next += 1
        factor = 1.0 + self._slowdown if side.label == "B" else 1.0
        return {name: trace[at % len(trace)] * factor for name, trace in zip(names, self._benchmarks)}, False


def compare(benchmarks: list[list[float]], slowdown: float, rng: random.Random) -> list[Judgement]:
    return judge(Replayed(benchmarks, slowdown, rng).run().series(), resamples=RESAMPLES)


def count(verdict: Verdict, trace: list[float], slowdown: float) -> int:
    rng = random.Random(20)
    total = 0
    for _ in range(COMPARISONS):
        one = compare([trace], slowdown, rng)[0]
        total += one.verdict is verdict and not one.null_differs(MIN_EFFECT)
    return total


class RealNoise(unittest.TestCase):
    def test_identical_programs_do_not_differ(self) -> None:
        for trace in TRACES:
            with self.subTest(trace["name"]):
                self.assertGreaterEqual(count(Verdict.NO_DIFFERENCE, trace["values"], 0.0), REQUIRED)

    def test_a_slowdown_of_five_percent_is_found(self) -> None:
        for trace in CALM:
            with self.subTest(trace["name"]):
                self.assertGreaterEqual(count(Verdict.SLOWER, trace["values"], 0.05), REQUIRED)

    def test_a_speedup_of_five_percent_is_found(self) -> None:
        for trace in CALM:
            with self.subTest(trace["name"]):
                self.assertGreaterEqual(count(Verdict.FASTER, trace["values"], 1 / 1.05 - 1), REQUIRED)

    def test_among_many_benchmarks_none_differs_by_chance(self) -> None:
        """A family at a time, each on a stretch of its own: the predecessor flagged more than half of such groups."""
        rng = random.Random(21)
        for trace in CALM:
            values = trace["values"]
            shifts = [rng.randrange(len(values)) for _ in range(FAMILY)]
            shifted = [values[shift:] + values[:shift] for shift in shifts]
            flagged = 0
            for _ in range(20):
                flagged += any(one.verdict is not Verdict.NO_DIFFERENCE for one in compare(shifted, 0.0, rng))
            with self.subTest(trace["name"]):
                self.assertLessEqual(flagged, 1)


class Judging(unittest.TestCase):
    def test_differences_below_the_least_that_counts_are_none(self) -> None:
        rng = random.Random(1)
        trace = [1.0 + 0.001 * rng.random() for _ in range(300)]
        self.assertIs(compare([trace], 0.005, rng)[0].verdict, Verdict.NO_DIFFERENCE)
        self.assertIs(compare([trace], 0.02, rng)[0].verdict, Verdict.SLOWER)

    def test_an_effect_that_a_against_a_shows_too_is_none(self) -> None:
        rng = random.Random(2)
        series = Replayed([[1.0 + 0.001 * rng.random() for _ in range(300)]], 0.03, rng).run().series()
        series[0].nulls = [effect + 0.035 for effect in series[0].nulls]
        one = judge(series, resamples=RESAMPLES)[0]
        self.assertIs(one.verdict, Verdict.NO_DIFFERENCE)
        self.assertTrue(one.null_differs(MIN_EFFECT))

    def test_equal_values_do_not_differ(self) -> None:
        one = compare([[2.0] * 10], 0.0, random.Random(3))[0]
        self.assertIs(one.verdict, Verdict.NO_DIFFERENCE)
        self.assertEqual((one.ratio, one.p), (1.0, 1.0))

    def test_the_same_numbers_give_the_same_verdict(self) -> None:
        series = Replayed([TRACES[0]["values"]], 0.02, random.Random(4)).run().series()
        self.assertEqual(judge(series, resamples=RESAMPLES), judge(series, resamples=RESAMPLES))

    def test_noise_calls_for_more_rounds(self) -> None:
        rng = random.Random(5)
        calm = Replayed([[rng.lognormvariate(0, 0.005) for _ in range(500)]], 0.0, rng).run()
        noisy = Replayed([[rng.lognormvariate(0, 0.06) for _ in range(500)]], 0.0, rng).run()
        self.assertEqual(sum(not which.null for which, _ in calm.rounds), Plan.rounds)
        self.assertGreater(sum(not which.null for which, _ in noisy.rounds), Plan.rounds)


if __name__ == "__main__":
    unittest.main()
