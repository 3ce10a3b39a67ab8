import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import bench_report

ROOT = Path(__file__).resolve().parents[2]
DEVICES = {"devices": [{"name": "metal", "description": "Apple M2 Max (38 cores)"}, {"name": "cpu", "description": "NEON"}, {"name": "soft", "description": "slow"}],
           "absent": [{"name": "cuda", "reason": "no driver"}]}
BENCH = {"model": {"name": "/Users/somebody/models/tiny", "type": "Q8_0", "kv": "f16"}, "device": "metal (M2 Max)", "roof": {"bytes_per_second": 350e9},
         "benchmarks": [{"name": "prefill/512", "value": 0.5, "min": 0.4, "max": 0.6, "tokens_per_second": 1024.0},
                        {"name": "decode/1000", "value": 0.004, "min": 0.0039, "max": 0.0045, "tokens_per_second": 250.0, "mbu": 0.61, "dispatches": 130.0}]}


class Programs(unittest.TestCase):
    """A build whose programs are scripts."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)
        self.program("lattice", f"""
            import json, sys
            if sys.argv[1] == "devices": print({json.dumps(DEVICES)!r})
            elif "0.8b" in sys.argv and "bf16" in sys.argv: sys.exit("there is no room for it")
            else: print({json.dumps(BENCH)!r})""")
        self.program("gpu_probe", "import sys; print('answers', sys.argv[1:])")

    def program(self, name: str, text: str) -> None:
        lines = text.splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        path = self.build / name
        path.write_text(f"#!{sys.executable}\n" + "\n".join(line[indent:] for line in lines) + "\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def report(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, str(ROOT / "tools/bench_report.py"), str(self.build), *words], capture_output=True, text=True, check=False)

    def read(self) -> dict:
        return json.loads((self.build / "report.json").read_text(encoding="utf-8"))


class Report(Programs):
    def test_collects_every_part(self) -> None:
        done = self.report("--device", "metal")
        self.assertEqual(0, done.returncode, done.stderr)
        report = self.read()
        self.assertEqual(bench_report.SCHEMA, report["schema"])
        self.assertEqual(["shipped", "0.8b-q4_0", "0.8b-q8_0", "0.8b-bf16", "questions"], list(report["parts"]))
        self.assertEqual("answers ['all', 'metal']\n", report["parts"]["questions"]["result"])
        self.assertIn("--contexts 0,1000,4096,16384", report["parts"]["shipped"]["command"])
        text = (self.build / "report.md").read_text(encoding="utf-8")
        for words in ("250.0", "61.0", "130", "answers ['all', 'metal']", "no device cuda: no driver"):
            self.assertIn(words, text)

    def test_says_what_failed_and_goes_on(self) -> None:
        done = self.report("--device", "metal")
        self.assertIn("failed: 0.8b-bf16", done.stdout)
        self.assertEqual("status 1: there is no room for it", self.read()["parts"]["0.8b-bf16"]["error"])
        self.assertIn("there is no room for it", (self.build / "report.md").read_text(encoding="utf-8"))

    def test_takes_broken_output_for_a_failure(self) -> None:
        self.program("lattice", f"import sys\nprint({json.dumps(DEVICES)!r} if sys.argv[1] == 'devices' else 'no JSON')")
        self.assertEqual(0, self.report("--device", "soft").returncode)
        self.assertIn("what it printed cannot be read", self.read()["parts"]["shipped"]["error"])

    def test_names_nobody(self) -> None:
        self.report("--device", "metal")
        self.assertNotIn("somebody", (self.build / "report.json").read_text(encoding="utf-8"))
        self.assertEqual("tiny", self.read()["parts"]["shipped"]["result"]["model"]["name"])

    def test_asks_little_of_a_device_in_software(self) -> None:
        self.report("--device", "soft")
        self.assertEqual(["shipped", "questions"], list(self.read()["parts"]))
        self.assertEqual("answers ['all', 'soft', 'quick']\n", self.read()["parts"]["questions"]["result"])

    def test_refuses_a_device_that_is_not_there(self) -> None:
        for device, why in (("cuda", "no driver"), ("tpu", "there is no such device")):
            done = self.report("--device", device)
            self.assertEqual((1, f"bench_report: device {device} cannot be measured here: {why}\n"), (done.returncode, done.stderr))

    def test_refuses_a_folder_without_programs(self) -> None:
        (self.build / "lattice").unlink()
        done = self.report("--device", "cpu")
        self.assertEqual(1, done.returncode)
        self.assertIn("it cannot be started: No such file or directory", done.stderr)


class Chips(unittest.TestCase):
    def test_are_known_by_their_names(self) -> None:
        self.assertEqual(400e9, bench_report.chip_of("Apple M2 Max").bandwidth)
        self.assertEqual(410e9, bench_report.chip_of("Apple M4 Max", 32).bandwidth)
        self.assertEqual(546e9, bench_report.chip_of("Apple M4 Max", 40).bandwidth)
        self.assertIsNone(bench_report.chip_of("Apple M9"))
        self.assertIsNone(bench_report.chip_of(None))

    def test_prediction_stands_beside_what_was_measured(self) -> None:
        report = {"machine": {"processor": "Apple M2 Max"}, "device": "metal", "parts": {"0.8b-q8_0": {"result": BENCH}}}
        lines = bench_report.prediction_lines(report)
        self.assertTrue(any(line.startswith("| Q8_0") and line.rstrip(" |").endswith("250") for line in lines), lines)
        self.assertEqual([], bench_report.prediction_lines({**report, "device": "cpu"}))


@unittest.skipUnless(os.environ.get("LATTICE_PROGRAM"), "no program was built")
class RealProgram(unittest.TestCase):
    def test_reports_on_the_processor(self) -> None:
        with tempfile.TemporaryDirectory() as out:
            build = Path(os.environ["LATTICE_PROGRAM"]).parent
            done = subprocess.run([sys.executable, str(ROOT / "tools/bench_report.py"), str(build), "--device", "cpu", "--quick", "--out", out],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(0, done.returncode, done.stderr)
            report = json.loads((Path(out) / "report.json").read_text(encoding="utf-8"))
            names = [entry["name"] for entry in report["parts"]["shipped"]["result"]["benchmarks"]]
            self.assertEqual(["prefill/16", "decode/0"], names)
            self.assertEqual("tinystories-qwen35", report["parts"]["shipped"]["result"]["model"]["name"])


if __name__ == "__main__":
    unittest.main()
