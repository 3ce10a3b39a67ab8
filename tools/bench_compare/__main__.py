"""The program: see `python3 -m bench_compare --help` and docs/benchmarks.md."""

import argparse
import json
import re
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from . import machine
from .builder import KERNEL_SUITE, MODEL_SUITE, Worktrees, commands_of, has_changes, resolve, targets_of
from .errors import EXIT_REFUSED, EXIT_SLOWER, CompareError, UsageError
from .judge import MIN_EFFECT, judge
from .measure import Measured, Measurement, Plan, Side, to_stderr
from .report import has_slower, markdown, record
from .runner import Command

# A model of a real shape, small enough for a run to take seconds: prefill's arithmetic, decode's bandwidth, a context.
DEFAULT_BENCH_ARGUMENTS = "--shape 0.8b --type q8_0 --prefill 128 --contexts 0,4096 --repeats 3 --steps 8"
REPOSITORY = Path(__file__).resolve().parents[2]

EXAMPLES = """
examples:
  make bench-compare BASE=main HEAD=HEAD
  make bench-compare BASE=main HEAD=HEAD FILTER='gemv/q8_0/0.8b'
  make bench-compare BASE=HEAD HEAD=HEAD            a program against itself: what this machine can show
  PYTHONPATH=tools python3 -m bench_compare --cmd-a './lattice bench --json m' --cmd-b './peer --json m'

exit status: 0 judged; 1 something is slower (with --fail-if-slower); 2 wrong usage; 3 a build, a run or its output is broken;
4 refused: the machine is busy, or A against A differs
"""


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_compare", description="Compares two commits, or two commands, by their timings.",
                                     epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what to compare")
    what.add_argument("--base", metavar="REF", help="a commit: A")
    what.add_argument("--head", metavar="REF", help="a commit: B")
    what.add_argument("--cmd-a", metavar="COMMAND", help="in place of commits: a command that prints JSON of the schema")
    what.add_argument("--cmd-b", metavar="COMMAND")
    what.add_argument("--device", default="cpu", help="what `lattice bench --device` takes (default: cpu)")
    what.add_argument("--filter", default="", metavar="REGEX", help="only benchmarks in whose name this is found; kernels too")
    what.add_argument("--bench-args", default=DEFAULT_BENCH_ARGUMENTS, metavar="FLAGS",
                      help=f"flags of `lattice bench` (default: {DEFAULT_BENCH_ARGUMENTS})")
    what.add_argument("--repository", type=Path, default=REPOSITORY, help=argparse.SUPPRESS)
    how = parser.add_argument_group("how")
    how.add_argument("--rounds", type=int, default=Plan.rounds, help="rounds of A against B, at least (default: %(default)s)")
    how.add_argument("--max-rounds", type=int, default=Plan.max_rounds, help="at most (default: %(default)s)")
    how.add_argument("--resolution", type=float, default=100 * Plan.resolution, metavar="PERCENT",
                     help="go on until differences of this size would show (default: %(default)g)")
    how.add_argument("--min-effect", type=float, default=100 * MIN_EFFECT, metavar="PERCENT",
                     help="smaller differences are none (default: %(default)g)")
    how.add_argument("--min-time", type=float, default=0.1, metavar="SECONDS", help="of one kernel in one run (default: %(default)g)")
    how.add_argument("--timeout", type=float, default=Plan.timeout, metavar="SECONDS", help="of one run (default: %(default)g)")
    how.add_argument("--wait", type=float, default=Plan.wait, metavar="SECONDS",
                     help="for the machine to become quiet (default: %(default)g)")
    how.add_argument("--even-if-busy", action="store_true", help="judge on a busy machine too; the record says so")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the record, JSON, here")
    parser.add_argument("--fail-if-slower", action="store_true", help="exit with 1 where something is slower")
    arguments = parser.parse_args(words)
    check_arguments(arguments)
    return arguments


def check_arguments(arguments: argparse.Namespace) -> None:
    commits = arguments.base is not None, arguments.head is not None
    commands = arguments.cmd_a is not None, arguments.cmd_b is not None
    if not (all(commits) and not any(commands)) and not (all(commands) and not any(commits)):
        raise UsageError("give both --base and --head, or both --cmd-a and --cmd-b")
    if not 4 <= arguments.rounds <= arguments.max_rounds <= 10_000:
        raise UsageError("--rounds must be at least 4 and no more than --max-rounds, and that at most 10000")
    for name in ("resolution", "min_effect", "min_time", "timeout"):
        if not 0 < getattr(arguments, name) < 1e6:
            raise UsageError(f"--{name.replace('_', '-')} must be above zero")
    try:
        re.compile(arguments.filter)
    except re.error as error:
        raise UsageError(f"--filter is no regular expression: {error}") from None


def plan_of(arguments: argparse.Namespace) -> Plan:
    return Plan(arguments.rounds, arguments.max_rounds, arguments.resolution / 100, arguments.timeout, arguments.wait,
                arguments.even_if_busy)


def measure_commands(arguments: argparse.Namespace) -> Measured:
    sides = []
    for label, text in (("A", arguments.cmd_a), ("B", arguments.cmd_b)):
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"the command of {label} cannot be read: {error}") from None
        if not words:
            raise UsageError(f"the command of {label} is empty")
        sides.append(Side(shlex.join(words), [Command(label, words)]))
    return Measurement(sides[0], sides[1], plan_of(arguments)).run()


def measure_commits(arguments: argparse.Namespace) -> Measured:
    repository = arguments.repository
    # Without a filter the model alone: all kernels would take hours.
    kernels = bool(arguments.filter) and arguments.device == "cpu"
    suites = [MODEL_SUITE, KERNEL_SUITE] if kernels else [MODEL_SUITE]
    options = ["-DLATTICE_BUILD_BENCHMARKS=ON"] if kernels else []
    for ref in (arguments.base, arguments.head):
        resolve(repository, ref)
    if has_changes(repository):
        to_stderr("note: this checkout has changes that are not committed, and they are not measured")
    with Worktrees(repository) as worktrees:
        sides = []
        for role, ref in (("BASE", arguments.base), ("HEAD", arguments.head)):
            to_stderr(f"building {role}, {ref}")
            built = worktrees.build(role, ref, targets_of(suites), options)
            commands = commands_of(built, suites, arguments.filter, arguments.device, shlex.split(arguments.bench_args),
                                   arguments.min_time)
            sides.append(Side(built.label, commands))
        return Measurement(sides[0], sides[1], plan_of(arguments)).run()


def compare(arguments: argparse.Namespace, words: list[str]) -> int:
    about = machine.describe()
    measured = measure_commands(arguments) if arguments.cmd_a is not None else measure_commits(arguments)
    min_effect = arguments.min_effect / 100
    judgements = judge(measured.series(), min_effect)
    refusal = None
    differing = [one.name for one in judgements if one.null_differs(min_effect)]
    if differing:
        refusal = (f"A against A differs in {', '.join(differing)}: what this machine shows now is not the programs' doing; "
                   "look for what else runs, for changing clocks, for heat")
    print(markdown(measured, judgements, refusal), end="")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        document = record(measured, judgements, refusal, about, words)
        arguments.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\nThe record is in {arguments.out}.")
    if refusal:
        return EXIT_REFUSED
    return EXIT_SLOWER if arguments.fail_if_slower and has_slower(judgements) else 0


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # unwinds the stack: commands are ended and worktrees removed


def main(words: list[str]) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return compare(parse_arguments(words), ["bench_compare", *words])
    except CompareError as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
