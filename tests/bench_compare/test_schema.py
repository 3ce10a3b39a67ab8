import json
import unittest

from bench_compare.errors import BrokenError
from bench_compare.schema import parse


def lattice(*benchmarks: object, **more: object) -> str:
    return json.dumps({"schema": "lattice-bench/1", "benchmarks": list(benchmarks), **more})


def google(*benchmarks: object) -> str:
    return json.dumps({"context": {"num_cpus": 2}, "benchmarks": list(benchmarks)})


class Schema(unittest.TestCase):
    def test_reads_our_own(self) -> None:
        output = parse(lattice({"name": "decode/0", "value": 0.5, "unit": "s", "better": "lower"}, logits_hash="ab", machine={"x": 1}), "A")
        self.assertEqual(output.values, {"decode/0": 0.5})
        self.assertEqual(output.units, {"decode/0": "s"})
        self.assertEqual(output.logits_hash, "ab")
        self.assertEqual(output.details, {"machine": {"x": 1}})

    def test_turns_what_is_better_when_higher(self) -> None:
        output = parse(lattice({"name": "rate", "value": 4, "unit": "tok/s", "better": "higher"}), "A")
        self.assertEqual((output.values, output.units), ({"rate": 0.25}, {"rate": "1/(tok/s)"}))

    def test_reads_google_benchmarks(self) -> None:
        output = parse(google({"name": "gemv", "real_time": 12.0, "time_unit": "us", "run_type": "iteration"}), "A")
        self.assertAlmostEqual(output.values["gemv"], 12e-6)

    def test_takes_the_median_of_google_benchmarks_repetitions(self) -> None:
        runs = [{"name": "gemv", "run_name": "gemv", "run_type": "iteration", "repetitions": 2, "real_time": t, "time_unit": "ns"} for t in (1.0, 3.0)]
        medians = [{"name": f"gemv_{name}", "run_name": "gemv", "run_type": "aggregate", "aggregate_name": name, "real_time": t, "time_unit": "ns"}
                   for name, t in (("mean", 9.0), ("median", 2.0))]
        self.assertEqual(list(parse(google(*runs, *medians), "A").values), ["gemv"])
        self.assertAlmostEqual(parse(google(*runs, *medians), "A").values["gemv"], 2e-9)

    def test_refuses_what_it_cannot_use(self) -> None:
        good = {"name": "x", "value": 1.0}
        for text, words in (
            ("", "is no JSON"),
            ("warning: hello\n{}", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("[]", "no JSON object"),
            ("{}", "no list of benchmarks"),
            ('{"benchmarks": []}', "neither a schema"),
            (json.dumps({"schema": "lattice-bench/2", "benchmarks": [good]}), "its schema is"),
            (lattice(), "measured nothing"),
            (lattice({"value": 1.0}), "has no name"),
            (lattice("x"), "has no name"),
            (lattice(good, good), "twice"),
            (lattice({"name": "x"}), "not a number above zero"),
            (lattice({"name": "x", "value": 0}), "not a number above zero"),
            (lattice({"name": "x", "value": -1}), "not a number above zero"),
            (lattice({"name": "x", "value": True}), "not a number above zero"),
            (lattice({"name": "x", "value": "1"}), "not a number above zero"),
            ('{"schema": "lattice-bench/1", "benchmarks": [{"name": "x", "value": NaN}]}', "not a number above zero"),
            ('{"schema": "lattice-bench/1", "benchmarks": [{"name": "x", "value": 1e999}]}', "not a number above zero"),
            (lattice({**good, "better": "brighter"}), "neither"),
            (lattice(good, logits_hash=7), "logits_hash"),
            (google({"name": "x", "error_occurred": True, "error_message": "no memory"}), "no memory"),
            (google({"name": "x", "real_time": 1.0, "time_unit": "fortnight"}), "fortnight"),
        ):
            with self.subTest(text=text[:60]), self.assertRaises(BrokenError) as caught:
                parse(text, "A (prog)")
            self.assertIn(words, str(caught.exception))
            self.assertIn("A (prog)", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
