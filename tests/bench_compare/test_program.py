"""The program as a whole: commands, commits, and everything that can go wrong with them."""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

from bench_compare.design import schedule

TOOLS = Path(__file__).resolve().parents[2] / "tools"

# Counts processor time, which other processes take no part of, so that the test holds on a busy machine as well.
SPIN = """
import json, sys, time
begin = time.process_time()
total = 0
for i in range(int(sys.argv[1])): total += i * i
spent = time.process_time() - begin
print(json.dumps({"schema": "lattice-bench/1", "logits_hash": format(total, "x"),
                  "benchmarks": [{"name": "spin", "unit": "s", "value": spent, "better": "lower"}]}))
"""


def run(*words: str, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(TOOLS)}
    return subprocess.run([sys.executable, "-m", "bench_compare", *words], capture_output=True, text=True, timeout=timeout,
                          check=False, env=environment)


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def script(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return f"{sys.executable} {path}"


class Commands(Folder):
    def test_real_runs(self) -> None:
        """Equal programs are equal, and one that does twice the work is slower."""
        spin = self.script("spin.py", SPIN)
        quick = ("--even-if-busy", "--rounds", "6", "--max-rounds", "6", "--min-effect", "25")
        record = self.folder / "out" / "record.json"
        same = run("--cmd-a", f"{spin} 60000", "--cmd-b", f"{spin} 60000", *quick, "--out", str(record))
        self.assertEqual(same.returncode, 0, same.stderr)
        self.assertIn("no difference that this machine can show", same.stdout)
        self.assertIn("same logits", same.stdout)
        document = json.loads(record.read_text(encoding="utf-8"))
        self.assertEqual(document["schema"], "lattice-bench-compare/1")
        self.assertEqual(document["benchmarks"][0]["verdict"], "no difference that this machine can show")
        self.assertEqual(len(document["benchmarks"][0]["runs_a"]), 12)
        self.assertFalse(document["quiet"])
        self.assertIn("cpu", document["machine"])

        slow = run("--cmd-a", f"{spin} 60000", "--cmd-b", f"{spin} 120000", *quick, "--fail-if-slower")
        self.assertEqual(slow.returncode, 1, slow.stderr)
        self.assertIn("**slower**", slow.stdout)
        self.assertIn("different logits", slow.stdout)

    def expect_broken(self, command: str, *words: str, timeout: str = "20") -> None:
        spin = self.script("spin.py", SPIN)
        for commands in ((command, f"{spin} 100"), (f"{spin} 100", command)):
            done = run("--cmd-a", commands[0], "--cmd-b", commands[1], "--even-if-busy", "--timeout", timeout)
            self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
            for word in words:
                self.assertIn(word, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_command_that_is_not_there(self) -> None:
        self.expect_broken("/no/such/program", "cannot be started", "/no/such/program")

    def test_a_command_that_fails(self) -> None:
        self.expect_broken(self.script("fails.py", "import sys; sys.exit('the model is missing')"), "ended with status 1", "the model is missing")

    def test_a_command_that_crashes(self) -> None:
        self.expect_broken(self.script("crash.py", "import os; os.abort()"), "SIGABRT")

    def test_a_command_that_crashes_in_the_middle(self) -> None:
        count = self.folder / "count"
        later = SPIN + textwrap.dedent(f"""
            import os
            from pathlib import Path
            count = Path({str(count)!r})
            runs = int(count.read_text()) + 1 if count.exists() else 1
            count.write_text(str(runs))
            if runs == 5: os.abort()
            """)
        spin = self.script("spin.py", SPIN)
        done = run("--cmd-a", f"{spin} 100", "--cmd-b", f"{self.script('later.py', later)} 100", "--even-if-busy")
        self.assertEqual(done.returncode, 3)
        self.assertIn("SIGABRT", done.stderr)
        self.assertNotIn("verdict", done.stdout)
        self.assertEqual(count.read_text(encoding="utf-8"), "5")

    def test_a_command_that_does_not_end_is_ended_with_its_children(self) -> None:
        # The child would write the file, were it left alive.
        witness = self.folder / "alive"
        hang = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time, pathlib; time.sleep(4); pathlib.Path({str(witness)!r}).touch()"])
time.sleep(60)
"""
        begin = time.monotonic()
        self.expect_broken(self.script("hang.py", hang), "did not end within 1 s", timeout="1")
        self.assertLess(time.monotonic() - begin, 30)
        time.sleep(4)
        self.assertFalse(witness.exists())

    def test_output_that_cannot_be_read(self) -> None:
        self.expect_broken(self.script("words.py", "print('42 tok/s')"), "no JSON")

    def test_benchmarks_that_are_not_the_same(self) -> None:
        other = self.script("other.py", SPIN.replace('"spin"', '"other"'))
        self.expect_broken(f"{other} 100", "no benchmark in common")

    def test_a_benchmark_that_comes_and_goes(self) -> None:
        fickle = SPIN.replace('"spin"', '"spin" if not __import__("os").path.exists(sys.argv[2]) else "other"') + "open(sys.argv[2], 'w')\n"
        spin = self.script("spin.py", SPIN)
        done = run("--cmd-a", f"{spin} 100", "--cmd-b", f"{self.script('fickle.py', fickle)} 100 {self.folder / 'mark'}", "--even-if-busy")
        self.assertEqual(done.returncode, 3)
        self.assertIn("measured spin before", done.stderr)

    def test_wrong_usage(self) -> None:
        for words in (("--base", "HEAD"), ("--cmd-a", "x"), ("--base", "a", "--head", "b", "--cmd-a", "x", "--cmd-b", "y"),
                      ("--cmd-a", "x", "--cmd-b", "y", "--rounds", "2"), ("--cmd-a", "x", "--cmd-b", "'"),
                      ("--cmd-a", "x", "--cmd-b", ""), ("--cmd-a", "x", "--cmd-b", "y", "--filter", "("),
                      ("--cmd-a", "x", "--cmd-b", "y", "--timeout", "0"), ("--rounds", "many"), ()):
            with self.subTest(words):
                done = run(*words)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotIn("Traceback", done.stderr)

    @unittest.skipUnless(Path("/proc/stat").exists(), "this system does not say what other processes use")
    def test_a_busy_machine_is_refused(self) -> None:
        spin = self.script("spin.py", SPIN)
        # Another process, not the program's own child, which keeps a processor busy.
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            done = run("--cmd-a", f"{spin} 100", "--cmd-b", f"{spin} 100", "--wait", "0")
        finally:
            busy.kill()
            busy.wait()
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("this machine is busy", done.stderr)
        self.assertNotIn("verdict", done.stdout)

    def test_a_against_a_that_differs_is_refused(self) -> None:
        """A program that is slow in just those of its runs that null rounds count for B."""
        runs, slow = 1, []  # one run has been before the first round
        for which in schedule(4, 4):
            for side, place in zip(which.runs(), which.order):
                runs += side == "A"
                if which.null and place == "B":
                    slow.append(runs)
        count = self.folder / "count"
        a = self.script("a.py", f"""
import json, pathlib
count = pathlib.Path({str(count)!r})
runs = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(runs))
value = 1.1 if runs in {slow} else 1.0
print(json.dumps({{"schema": "lattice-bench/1", "benchmarks": [{{"name": "x", "value": value, "unit": "s"}}]}}))
""")
        b = self.script("b.py", """print('{"schema": "lattice-bench/1", "benchmarks": [{"name": "x", "value": 1.5, "unit": "s"}]}')""")
        done = run("--cmd-a", a, "--cmd-b", b, "--even-if-busy", "--rounds", "4", "--max-rounds", "4")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("A against A differs in x", done.stdout)
        self.assertIn("not judged", done.stdout)
        self.assertNotIn("slower**", done.stdout)


# A repository whose "build" puts a script in place of the program.
CMAKE = """
cmake_minimum_required(VERSION 3.16)
project(fake NONE)
add_custom_target(lattice_program COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_SOURCE_DIR}/lattice.py ${PROJECT_BINARY_DIR}/lattice)
"""
PROGRAM = f"""#!{sys.executable}
import json, sys, time
if "--list" in sys.argv: print("prefill/8\\ndecode/0"); sys.exit()
device = sys.argv[sys.argv.index("--device") + 1]
if device != "cpu": sys.exit(f"this machine has no device {{device}}")
begin = time.process_time()
for i in range(WORK): pass
print(json.dumps({{"schema": "lattice-bench/1", "benchmarks": [{{"name": "decode/0", "unit": "s", "value": time.process_time() - begin}}]}}))
"""
QUICK = ("--even-if-busy", "--rounds", "4", "--max-rounds", "4", "--min-effect", "25", "--timeout", "20")


class Commits(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.repository = self.folder / "repository"
        self.repository.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Test")
        self.git("config", "user.email", "test@example.org")
        (self.repository / ".gitignore").write_text("/build*/\n", encoding="utf-8")
        (self.repository / "CMakeLists.txt").write_text(CMAKE, encoding="utf-8")
        self.commit("good", 200_000)
        self.commit("slow", 400_000)

    def git(self, *words: str) -> str:
        return subprocess.run(["git", "-C", str(self.repository), *words], capture_output=True, text=True, check=True).stdout

    def commit(self, tag: str, work: int) -> None:
        program = self.repository / "lattice.py"
        program.write_text(PROGRAM.replace("WORK", str(work)), encoding="utf-8")
        program.chmod(0o755)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", tag)
        self.git("tag", tag)

    def compare(self, base: str, head: str, *words: str) -> "subprocess.CompletedProcess[str]":
        done = run("--repository", str(self.repository), "--base", base, "--head", head, *QUICK, *words)
        self.assertNotIn("Traceback", done.stderr)
        # However it ended, nothing is left behind.
        self.assertEqual(len(self.git("worktree", "list").strip().split("\n")), 1)
        self.assertEqual(list(self.repository.glob("build-compare-*")), [])
        return done

    def test_a_slower_commit(self) -> None:
        done = self.compare("good", "slow", "--fail-if-slower")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("**slower**", done.stdout)
        self.assertIn(self.git("rev-parse", "--short=12", "good").strip(), done.stdout)

    def test_a_commit_against_itself(self) -> None:
        done = self.compare("good", "good^{commit}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no difference", done.stdout)

    def test_a_head_that_does_not_build(self) -> None:
        (self.repository / "CMakeLists.txt").write_text("this is no CMake\n", encoding="utf-8")
        self.commit("broken", 1)
        done = self.compare("good", "broken")
        self.assertEqual(done.returncode, 3)
        self.assertIn("HEAD", done.stderr)
        self.assertIn("does not build", done.stderr)

    def test_a_head_that_crashes(self) -> None:
        program = self.repository / "lattice.py"
        program.write_text(program.read_text(encoding="utf-8").replace("begin =", "import os; os.abort(); begin ="), encoding="utf-8")
        self.git("commit", "-q", "-a", "-m", "crash")
        done = self.compare("good", "HEAD")
        self.assertEqual(done.returncode, 3)
        self.assertIn("HEAD", done.stderr)
        self.assertIn("SIGABRT", done.stderr)

    def test_a_head_that_does_not_end(self) -> None:
        program = self.repository / "lattice.py"
        program.write_text(program.read_text(encoding="utf-8").replace("begin =", "time.sleep(99); begin ="), encoding="utf-8")
        self.git("commit", "-q", "-a", "-m", "hang")
        done = self.compare("good", "HEAD", "--timeout", "2")
        self.assertEqual(done.returncode, 3)
        self.assertIn("did not end within 2 s", done.stderr)

    def test_a_ref_that_is_none(self) -> None:
        for ref in ("no-such-branch", "--upload-pack=x", ""):
            done = run("--repository", str(self.repository), f"--base={ref}", "--head=good", *QUICK)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_device_that_is_not_there(self) -> None:
        done = self.compare("good", "slow", "--device", "metal")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no device metal", done.stderr)

    def test_a_filter_that_finds_nothing(self) -> None:
        done = self.compare("good", "slow", "--filter", "nothing", "--device", "cuda")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no benchmark", done.stderr)

    def test_an_interrupt_leaves_nothing_behind(self) -> None:
        words = [sys.executable, "-m", "bench_compare", "--repository", str(self.repository), "--base", "good", "--head", "slow",
                 "--even-if-busy", "--rounds", "500", "--max-rounds", "500"]
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(TOOLS)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("round"):
                break
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(len(self.git("worktree", "list").strip().split("\n")), 1)
        self.assertEqual(list(self.repository.glob("build-compare-*")), [])


if __name__ == "__main__":
    unittest.main()
