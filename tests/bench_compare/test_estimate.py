import math
import random
import unittest

from bench_compare.design import schedule
from bench_compare.estimate import Noise, bootstrap_interval, holm, trimmed_mean, winsorised_squares


class Estimate(unittest.TestCase):
    def test_trimmed_mean_leaves_the_ends_out(self) -> None:
        self.assertEqual(trimmed_mean([1.0, 2.0, 3.0, 4.0, 1000.0]), 3.0)
        self.assertEqual(trimmed_mean([1.0, 2.0, 3.0, 6.0]), 3.0)  # a fifth of four is less than one

    def test_winsorised_squares_move_the_ends_in(self) -> None:
        # 1 becomes 2 and 1000 becomes 4: 2, 2, 3, 4, 4.
        self.assertAlmostEqual(winsorised_squares([1.0, 2.0, 3.0, 4.0, 1000.0]), 4.0)

    def test_one_wild_round_changes_nothing(self) -> None:
        calm = [0.01, -0.02, 0.0, 0.02, -0.01, 0.01, -0.01, 0.0, 0.02, -0.02]
        wild = calm[:-1] + [5.0]
        self.assertLess(abs(trimmed_mean(wild) - trimmed_mean(calm)), 0.01)
        rounds = len(calm)
        self.assertLess(Noise.of(wild).half_width(rounds), 2 * Noise.of(calm).half_width(rounds))

    def test_p_values_are_even_where_nothing_differs(self) -> None:
        """Among many comparisons of nothing with nothing, a tenth has p below 0.1, and so on."""
        rng = random.Random(3)
        count = 2000
        ps = []
        for _ in range(count):
            real = [rng.gauss(0, 0.02) for _ in range(12)]
            null = [rng.gauss(0, 0.02) for _ in range(6)]
            ps.append(Noise.of(real, null).p_of(trimmed_mean(real), 12))
        for level in (0.01, 0.05, 0.1, 0.5):
            share = sum(p < level for p in ps) / count
            # Yuen's test is an approximation; three standard errors and a sixth on top.
            slack = 3 * math.sqrt(level * (1 - level) / count) + level / 6
            self.assertAlmostEqual(share, level, delta=slack, msg=f"at {level}")

    def test_the_interval_covers_the_truth(self) -> None:
        rng = random.Random(4)
        covered = 0
        for _ in range(400):
            values = [0.03 + rng.gauss(0, 0.02) for _ in range(12)]
            covered += not bootstrap_interval(values, 400, rng).excludes(0.03)
        self.assertGreaterEqual(covered / 400, 0.92)
        self.assertLessEqual(covered / 400, 0.99)

    def test_holm(self) -> None:
        for got, want in zip(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]):
            self.assertAlmostEqual(got, want)
        self.assertEqual(holm([0.9, 0.8]), [1.0, 1.0])
        self.assertEqual(holm([]), [])


class Design(unittest.TestCase):
    def test_even_drift_cancels(self) -> None:
        for which in schedule(2, 2):
            self.assertAlmostEqual(which.contrast([1.0, 1.1, 1.2, 1.3]), 0.0)

    def test_a_slow_b_shows_and_a_null_round_is_all_a(self) -> None:
        for which in schedule(4, 2):
            values = [0.05 if side == "B" else 0.0 for side in which.runs()]
            self.assertAlmostEqual(which.contrast(values), 0.0 if which.null else 0.05)

    def test_what_favours_a_place_in_the_round_cancels_over_two(self) -> None:
        first_is_slow = [0.3, 0.0, 0.0, 0.0]
        real = [which.contrast(first_is_slow) for which in schedule(4, 0)]
        self.assertAlmostEqual(sum(real), 0.0)

    def test_null_rounds_are_spread_evenly(self) -> None:
        kinds = "".join("n" if which.null else "r" for which in schedule(6, 3))
        self.assertEqual(kinds, "rrnrrnrrn")
        self.assertEqual(len(schedule(5, 4)), 9)


if __name__ == "__main__":
    unittest.main()
