import tempfile
import unittest
from pathlib import Path

import study_refs

ROOT = Path(__file__).resolve().parents[2]
STUDY = "docs/mlx-kernel-study.md"
WIDTH = 140  # columns that a terminal is trusted to have

KERNEL = '''\
// gemv is not defined here: gemv(
#define ROWS 4
constant uint kRows [[function_constant(ROWS)]];
namespace inner {
struct Chunk {
  uint4 bits;
  float dot(thread const float* x) { return other(x[0]); }
};
struct Q8 {
  static float dot(Chunk chunk) { return chunk.dot(nullptr); }
};
inline float half_of(
    float x);
}  // namespace inner
/// gemv
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv(
    device const uint4* quants [[buffer(0)]]) {
  gemv_inside(quants);
  if (kRows > 1) return;
}
const char* text = "void in_text() {";
void Outer::method() {
}
'''


class Definitions(unittest.TestCase):
    def setUp(self) -> None:
        self.lines = study_refs.definitions_of_cpp(KERNEL)

    def test_finds_what_is_defined(self) -> None:
        expected = {"ROWS": 2, "kRows": 3, "Chunk": 5, "bits": 6, "Chunk::dot": 7, "Q8": 9, "Q8::dot": 10, "half_of": 12, "gemv": 17,
                    "text": 22, "Outer::method": 23}
        self.assertEqual({name: [line] for name, line in expected.items()}, {name: self.lines.get(name) for name in expected})
        self.assertEqual(self.lines["dot"], [7, 10])

    def test_takes_no_use_for_a_definition(self) -> None:
        for name in ("other", "gemv_inside", "quants", "buffer", "function_constant", "in_text", "chunk", "if"):
            self.assertNotIn(name, self.lines)

    def test_prefers_a_definition_to_a_declaration(self) -> None:
        self.assertEqual(study_refs.definitions_of_cpp("void f(int);\nstruct S;\nvoid f(int) {}\nstruct S {};\nusing a::b;\nusing c = int;\n"),
                         {"f": [3], "S": [4], "c": [6]})

    def test_keeps_a_type_apart_from_its_constructors(self) -> None:
        self.assertEqual(study_refs.definitions_of_cpp("class C {\n public:\n  C() {}\n};\n"), {"C": [1], "C::C": [3]})

    def test_reads_python(self) -> None:
        self.assertEqual(study_refs.definitions_of_python("WIDTH = 1\nclass A:\n    def b(self):\n        c()\n"),
                         {"WIDTH": [1], "A": [2], "b": [3]})


class References(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "src").mkdir()
        (self.root / "src/k.metal").write_text(KERNEL, encoding="utf-8")

    def problems_of(self, text: str) -> "list[str]":
        (self.root / "doc.md").write_text(text, encoding="utf-8")
        return [problem.text for problem in study_refs.check(self.root, "doc.md").problems]

    def test_accepts_what_is_right(self) -> None:
        self.assertEqual(self.problems_of("See `src/k.metal:17 (gemv)` and\n`src/k.metal:10 (Q8::dot)`.\n"), [])
        self.assertEqual(study_refs.check(self.root, "doc.md").references, 2)

    def test_says_what_is_wrong(self) -> None:
        self.assertEqual(self.problems_of("`src/k.metal:16 (gemv)`"), ["src/k.metal:16 does not define gemv: line 17 does"])
        self.assertEqual(self.problems_of("`src/k.metal:17 (gemm)`"), ["src/k.metal does not define gemm"])
        self.assertEqual(self.problems_of("`src/gone.metal:17 (gemv)`"), ["there is no src/gone.metal"])

    def test_lets_nothing_escape_that_looks_like_a_reference(self) -> None:
        for text in ("src/k.metal:17", "`src/k.metal:17`", "`src/k.metal:17\n(gemv)`", "`src/k.metal:17(gemv)`"):
            self.assertEqual(self.problems_of(text), ["src/k.metal:17 lacks the form `path:line (name)`, all of it on one line"])

    def test_mends_what_has_moved(self) -> None:
        self.assertNotEqual(self.problems_of("a `src/k.metal:1 (gemv)` b `src/k.metal:9 (dot)` c `src/k.metal:17 (gemm)` d"), [])
        study_refs.fix(self.root, "doc.md")
        self.assertEqual((self.root / "doc.md").read_text(encoding="utf-8"),
                         "a `src/k.metal:17 (gemv)` b `src/k.metal:10 (dot)` c `src/k.metal:17 (gemm)` d")


class Study(unittest.TestCase):
    def test_points_at_what_it_names(self) -> None:
        checked = study_refs.check(ROOT, STUDY)
        self.assertEqual([], [str(problem) for problem in checked.problems], "tools/study_refs.py --fix rewrites lines that have moved")
        self.assertGreater(checked.references, 20)

    def test_can_be_read_in_a_terminal(self) -> None:
        lines = (ROOT / STUDY).read_text(encoding="utf-8").splitlines()
        self.assertEqual([], [number for number, line in enumerate(lines, 1) if len(line) > WIDTH])


if __name__ == "__main__":
    unittest.main()
