import re
import subprocess
import unittest
from pathlib import Path

import predict_apple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/apple-silicon.md").read_text(encoding="utf-8")
STUDY = (ROOT / "docs/mlx-kernel-study.md").read_text(encoding="utf-8")


class Model(unittest.TestCase):
    def test_shapes_are_those_of_the_benchmarks(self) -> None:
        source = (ROOT / "src/bench/shapes.cpp").read_text(encoding="utf-8")
        rows = re.findall(r'Scale\{"([^"]+)", (\d+), (\d+), (\d+), (\d+), (\d+), (\d+), (?:true|false)\}', source)
        self.assertEqual([(shape.name.lower(), *map(str, shape[1:])) for shape in predict_apple.SHAPES], rows)

    def test_weights_are_those_of_the_study(self) -> None:
        small = predict_apple.SHAPES[0]
        row = re.search(r"\| \*\*weights\*\* +\| +\S+ \| +\S+ \| +\*\*(\d+)\*\* \| +\S+ \| +\S+ \| +\*\*(\d+)\*\* \|", STUDY)
        self.assertIsNotNone(row)
        self.assertEqual([f"{small.weight_bytes(bits) / 1e6:.0f}" for bits in (8.5, 4.5)], [row[1], row[2]])

    def test_dispatches_are_those_of_the_study(self) -> None:
        total = re.search(r"\| \*\*(\d+)\*\* \| 27B: \d+, \d+, (\d+);", STUDY)
        shared = re.search(r"Ours are a chain of (\d+), or (\d+) with shared keys", STUDY)
        small, large = predict_apple.SHAPES[0], predict_apple.SHAPES[-1]
        self.assertEqual([*total.groups(), *shared.groups()],
                         [str(count) for count in (small.dispatches(0), large.dispatches(0), small.dispatches(0), small.dispatches(1000))])

    def test_a_prediction_is_between_nothing_and_the_roofline(self) -> None:
        for chip in predict_apple.CHIPS:
            for shape in predict_apple.SHAPES:
                for bits in predict_apple.FORMATS.values():
                    self.assertGreater(predict_apple.roofline(chip, shape, bits) * predict_apple.ATTAINABLE, predict_apple.predicted(chip, shape, bits))
        # 852 MB at 0.85 · 400 GB/s are 2.51 ms, and 130 dispatches 0.65 ms.
        chip = next(chip for chip in predict_apple.CHIPS if chip.name == "M2 Max")
        self.assertAlmostEqual(1e3 / predict_apple.predicted(chip, predict_apple.SHAPES[0], 8.5), 2.506 + 0.65, delta=0.01)


class Document(unittest.TestCase):
    def test_tables_are_the_programs_output(self) -> None:
        self.assertEqual(DOCUMENT, predict_apple.replaced(DOCUMENT), "tools/predict_apple.py --fix writes them")
        self.assertIn(f"{predict_apple.ATTAINABLE:g} · bandwidth) + dispatches · {predict_apple.DISPATCH * 1e6:g} µs", DOCUMENT)

    def test_every_question_has_its_command(self) -> None:
        source = (ROOT / "bench/gpu/probe_questions.cpp").read_text(encoding="utf-8")
        asked = re.findall(r'\{"(\w+)", ?"', re.sub(r"\s+", " ", source[source.index("questions() {"):]).replace('{ "', '{"'))
        self.assertEqual(asked, re.findall(r"^\| `build-bench/gpu_probe (\w+) metal` \|", DOCUMENT, re.MULTILINE))
        self.assertEqual(8, len(asked))


class Workflow(unittest.TestCase):
    def setUp(self) -> None:
        text = (ROOT / ".github/workflows/apple-silicon.yml").read_text(encoding="utf-8")
        blocks = re.findall(r"^( +)run: \|\n((?:\1  .*\n|\n)+)", text, re.MULTILINE)
        self.scripts = [script for _, script in blocks] + re.findall(r"^ +run: ([^|\n].*)$", text, re.MULTILINE)

    def test_scripts_are_bash(self) -> None:
        self.assertGreater(len(self.scripts), 5)
        for script in self.scripts:
            self.assertEqual((0, ""), (lambda done: (done.returncode, done.stderr))(
                subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)), script)

    def test_calls_what_there_is(self) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        called = {target for script in self.scripts for target in re.findall(r"\bmake ([\w-]+)", script)}
        self.assertGreaterEqual(called, {"deps", "build", "bench-report", "test-release"})
        for target in called:
            self.assertRegex(makefile, rf"(?m)^{target}:")


if __name__ == "__main__":
    unittest.main()
