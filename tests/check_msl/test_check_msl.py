import functools
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from check_msl import __main__ as program
from check_msl import compiler, source

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
REFUSED = sorted((HERE / "refused").glob("*.metal"))
KERNELS = sorted((ROOT / "src/gpu/kernels").glob("*.metal")) + sorted((ROOT / "src/gpu/kernels").glob("*.h"))


def clang() -> str:
    try:
        found = compiler.find_compiler()
    except compiler.CompilerError as error:
        raise unittest.SkipTest(str(error)) from None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if "Apple" in version:
        raise unittest.SkipTest("Apple's clang words its messages otherwise, and has Metal's own compiler beside it")
    return found


@functools.lru_cache(maxsize=None)
def problems_of(path: Path) -> "list[tuple[str, int, str]]":
    return program.check(path, clang())


class Refused(unittest.TestCase):
    """A file a rule. Its first line says where the fault is (* for anywhere) and what is said of it."""

    def test_every_fault_is_named(self) -> None:
        self.assertGreater(len(REFUSED), 50)
        for path in REFUSED:
            with self.subTest(path.name):
                expected = re.match(r"// (\d+|\*): (.+)\n", path.read_text(encoding="utf-8"))
                self.assertIsNotNone(expected, "the first line says what is wrong")
                problems = problems_of(path)
                where = [(line, text) for _, line, text in problems if expected[1] == "*" or line == int(expected[1])]
                self.assertTrue(any(expected[2] in text for _, text in where), f"{expected[0].strip()} is not among {problems}")

    def test_and_nothing_beside_it(self) -> None:
        """A planted fault is the only one of its file, so that no other can hide that its rule has gone."""
        for path in REFUSED:
            with self.subTest(path.name):
                self.assertEqual(1, len({line for _, line, _ in problems_of(path)}))


class Accepted(unittest.TestCase):
    def test_what_metal_has(self) -> None:
        self.assertEqual([], problems_of(HERE / "accepted.metal"))

    def test_our_kernels(self) -> None:
        self.assertGreater(len(KERNELS), 15)
        for path in KERNELS:
            with self.subTest(path.name):
                self.assertEqual([], [f"{file}:{line}: {text}" for file, line, text in problems_of(path)])


class Source(unittest.TestCase):
    def test_keeps_every_line(self) -> None:
        for path in [*REFUSED, *KERNELS]:
            text = path.read_text(encoding="utf-8")
            self.assertEqual(text.count("\n"), source.as_cpp(text).count("\n"), path)

    def test_rewrites_what_cpp_has_not(self) -> None:
        self.assertEqual(source.as_cpp("constant uint kA [[function_constant(0)]];"), "extern constant uint kA [[function_constant(0)]];")
        self.assertEqual(source.as_cpp("kernel void f() {\n  threadgroup float x[2];\n  threadgroup float* y = x;\n}"),
                         "kernel void f() {\n  static threadgroup float x[2];\n  threadgroup float* y = x;\n}")
        self.assertEqual(source.as_cpp('template [[host_name("f")]] void g<int>(int);'), "template                    void g<int>(int);")


class Program(unittest.TestCase):
    def run_program(self, *words: str) -> "subprocess.CompletedProcess[str]":
        python = shutil.which("python3")
        return subprocess.run([python, "-m", "check_msl", *words], capture_output=True, text=True, check=False)

    def test_exit_status(self) -> None:
        clang()
        self.assertEqual(0, self.run_program(str(HERE / "accepted.metal")).returncode)
        refused = self.run_program(str(HERE / "refused/lambda.metal"))
        self.assertEqual(1, refused.returncode)
        self.assertIn("lambda.metal:6: Metal 3.1 has no lambda expressions\n", refused.stdout)

    def test_what_cannot_be_used(self) -> None:
        lacking = self.run_program("--compiler", "no-such-clang", str(HERE / "accepted.metal"))
        self.assertEqual((2, "check_msl: no no-such-clang is installed\n"), (lacking.returncode, lacking.stderr))
        clang()
        gone = self.run_program(str(HERE / "gone.metal"))
        self.assertEqual(1, gone.returncode)
        self.assertIn("gone.metal:0: cannot be read", gone.stdout)


if __name__ == "__main__":
    unittest.main()
