import math
import unittest

from bench_compare.student import incomplete_beta, normal_below, t_quantile, two_sided_p


class Student(unittest.TestCase):
    def test_agrees_with_the_tables(self) -> None:
        # Two-sided critical values as printed in every table of Student's distribution.
        for t, freedom, p in ((12.7062, 1, 0.05), (4.3027, 2, 0.05), (2.2281, 10, 0.05), (3.1693, 10, 0.01), (2.0423, 30, 0.05)):
            self.assertAlmostEqual(two_sided_p(t, freedom), p, delta=1e-5)
            self.assertAlmostEqual(t_quantile(p, freedom), t, delta=1e-3)

    def test_is_cauchy_with_one_degree_of_freedom(self) -> None:
        for t in (0.1, 1.0, 3.0, 50.0, 1e6):
            self.assertAlmostEqual(two_sided_p(t, 1), 1 - 2 * math.atan(t) / math.pi, delta=1e-12)

    def test_ends(self) -> None:
        self.assertEqual(two_sided_p(0.0, 7), 1.0)
        self.assertEqual(two_sided_p(math.inf, 7), 0.0)
        self.assertEqual(incomplete_beta(2.0, 3.0, 0.0), 0.0)
        self.assertEqual(incomplete_beta(2.0, 3.0, 1.0), 1.0)
        self.assertAlmostEqual(normal_below(-1.959964), 0.025, delta=1e-6)


if __name__ == "__main__":
    unittest.main()
