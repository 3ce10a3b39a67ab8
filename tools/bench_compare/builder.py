"""Builds two commits, each in a worktree of its own, and takes the worktrees away again."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .errors import BrokenError, UsageError
from .runner import Command, run

BUILD_SECONDS = 3600.0
_LIST_SECONDS = 60.0
_LAST_LINES = 15  # of a failed build's output


@dataclass(frozen=True)
class Built:
    role: str  # "BASE" or "HEAD"
    ref: str  # as it was asked for
    commit: str
    directory: Path  # the build

    @property
    def label(self) -> str:
        return f"{self.role} ({self.commit[:12]})"


def _git(repository: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def resolve(repository: Path, ref: str) -> str:
    if ref.startswith("-"):
        raise UsageError(f"{ref!r} is no commit")
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except UsageError:
        raise UsageError(f"{ref!r} is no commit, branch or tag of {repository.name}") from None


def has_changes(repository: Path) -> bool:
    return bool(_git(repository, "status", "--porcelain", "--untracked-files=no"))


class Worktrees:
    """Use as a context manager: whatever happens inside, nothing is left behind."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._root: Path | None = None
        self._built: dict[str, Path] = {}

    def __enter__(self) -> "Worktrees":
        # In the checkout, on its disk; the name is one that .gitignore knows.
        self._root = Path(tempfile.mkdtemp(prefix="build-compare-", dir=self._repository))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._root is not None
        shutil.rmtree(self._root, ignore_errors=True)
        subprocess.run(["git", "-C", str(self._repository), "worktree", "prune"], capture_output=True, check=False)

    def build(self, role: str, ref: str, targets: Sequence[str], options: Sequence[str] = ()) -> Built:
        """Equal commits are built once: then both sides run the same program."""
        commit = resolve(self._repository, ref)
        if commit not in self._built:
            self._built[commit] = self._build(f"{role} ({commit[:12]})", commit, targets, options)
        return Built(role, ref, commit, self._built[commit])

    def _build(self, label: str, commit: str, targets: Sequence[str], options: Sequence[str]) -> Path:
        assert self._root is not None
        # Both paths are equally long: a program's speed can hang on the length of its environment and arguments.
        source = self._root / commit[:12]
        _git(self._repository, "worktree", "add", "--detach", "--quiet", str(source), commit)
        build = source / "build"
        # A cache's entries hold paths; told to take them relative to the worktree, all worktrees share them.
        environment = {"CCACHE_BASEDIR": str(source), "CCACHE_NOHASHDIR": "1"}
        jobs = str(os.cpu_count() or 1)
        for words in (["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release",
                       "-DLATTICE_BUILD_TESTS=OFF", *options],
                      ["cmake", "--build", str(build), "-j", jobs, "--target", *targets]):
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=BUILD_SECONDS,
                                  env={**os.environ, **environment}, start_new_session=False)
            if done.returncode != 0:
                lines = (done.stdout + done.stderr).strip().split("\n")[-_LAST_LINES:]
                raise BrokenError(f"{label} does not build:\n" + "\n".join(lines))
        return build


# What the two programs of a build are asked for.
MODEL_SUITE = "model"
KERNEL_SUITE = "kernels"


def targets_of(suites: Sequence[str]) -> list[str]:
    return (["lattice_program"] if MODEL_SUITE in suites else []) + (["bench_kernels"] if KERNEL_SUITE in suites else [])


def _program(built: Built, name: str) -> str:
    return str(built.directory / name)


def _listed(label: str, words: list[str]) -> list[str]:
    return run(Command(label, words), _LIST_SECONDS).stdout.split()


def commands_of(built: Built, suites: Sequence[str], pattern: str, device: str, bench_arguments: Sequence[str],
                min_seconds: float) -> list[Command]:
    """The commands that measure what `pattern` finds, or all. Throws UsageError where it finds nothing."""
    found: list[Command] = []
    if MODEL_SUITE in suites:
        words = [_program(built, "lattice"), "bench", "--device", device, *bench_arguments]
        if any(re.search(pattern, name) for name in _listed(built.label, [*words, "--list"])):
            found.append(Command(built.label, [*words, "--filter", pattern, "--json", "--quiet"]))
    if KERNEL_SUITE in suites:
        kernels = _program(built, "bench_kernels")
        names = _listed(built.label, [kernels, "--benchmark_list_tests=true", f"--benchmark_filter={pattern or '.'}"])
        if names:
            found.append(Command(built.label, [kernels, f"--benchmark_filter={pattern or '.'}", "--benchmark_format=json",
                                               f"--benchmark_min_time={min_seconds}"]))
    if not found:
        raise UsageError(f"no benchmark of {built.label} is called {pattern!r}")
    return found
