"""Runs the rounds until they say enough."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import machine
from .design import REAL_A, REAL_B, Round, schedule
from .errors import BrokenError, RefusedError
from .estimate import Noise
from .judge import Series
from .runner import Command, run
from .schema import Output, parse


@dataclass(frozen=True)
class Plan:
    rounds: int = 12  # at least
    max_rounds: int = 48
    resolution: float = 0.015  # go on until a 95 % interval is this narrow to either side
    timeout: float = 600.0  # of one run
    wait: float = 60.0  # for the machine to become quiet
    even_if_busy: bool = False

    @property
    def null_rounds(self) -> int:
        return max(self.rounds // 2, 4)


@dataclass
class Side:
    """One of the two that are compared. It may take several commands to measure all of it."""

    label: str
    commands: list[Command]
    hashes: set[str] = field(default_factory=set)
    details: list[dict[str, Any]] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)


@dataclass
class Measured:
    a: Side
    b: Side
    rounds: list[tuple[Round, list[dict[str, float]]]]  # each with its four runs' values
    disturbed: int  # rounds that were thrown away
    quiet: bool

    def names(self) -> list[str]:
        """Benchmarks that both sides have, in the order of A."""
        return [name for name in self.a.units if name in self.b.units]

    def only_in(self, side: Side) -> list[str]:
        return [name for name in side.units if name not in self.names()]

    def series(self) -> list[Series]:
        out = []
        for name in self.names():
            one = Series(name, self.a.units[name], [], [], [], [])
            for which, runs in self.rounds:
                effect = which.contrast([math.log(values[name]) for values in runs])
                if which.null:
                    one.nulls.append(effect)
                    continue
                one.effects.append(effect)
                for side, values in zip(which.order, runs):
                    (one.a if side == REAL_A else one.b).append(values[name])
            out.append(one)
        return out


Report = Callable[[str], None]


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Measurement:
    def __init__(self, a: Side, b: Side, plan: Plan, report: Report = to_stderr) -> None:
        self._a, self._b, self._plan, self._report = a, b, plan, report
        self._measured = Measured(a, b, [], 0, quiet=not plan.even_if_busy)

    def run(self) -> Measured:
        """Throws BrokenError and RefusedError."""
        self._wait_for_quiet()
        # Once each without counting: files are read, caches filled, and whatever is broken shows at once.
        for side in (self._a, self._b):
            self._run_side(side)
        if not self._measured.names():
            raise BrokenError(f"{self._a.label} and {self._b.label} have no benchmark in common")
        done = 0
        while done < self._plan.rounds or (done < self._plan.max_rounds and not self._precise_enough()):
            # Further rounds come in batches of half as many.
            batch = self._plan.rounds if done == 0 else min(max(self._plan.rounds // 2, 2), self._plan.max_rounds - done)
            nulls = self._plan.null_rounds if done == 0 else batch // 2
            if done > 0:
                self._report("the machine is noisy, and these rounds do not suffice: more of them")
            self._run_batch(schedule(batch, nulls))
            done += batch
        return self._measured

    def _wait_for_quiet(self) -> None:
        if self._plan.even_if_busy:
            return
        deadline = time.monotonic() + self._plan.wait
        while (problem := machine.busy_sentence()) is not None:
            if time.monotonic() >= deadline:
                raise RefusedError(f"this machine is busy: {problem}; end them, or wait, and try again")
            self._report(f"waiting for the machine to become quiet: {problem}")

    def _run_side(self, side: Side) -> tuple[dict[str, float], bool]:
        """One run's values, and whether others were at work meanwhile."""
        values: dict[str, float] = {}
        units: dict[str, str] = {}
        details: list[dict[str, Any]] = []
        disturbed = False
        for command in side.commands:
            finished = run(command, self._plan.timeout)
            output: Output = parse(finished.stdout, f"{command.label} ({command})")
            values.update(output.values)
            units.update(output.units)
            details.append(output.details)
            disturbed |= finished.foreign is not None and finished.foreign > machine.QUIET_SHARE
            if output.logits_hash is not None:
                side.hashes.add(output.logits_hash)
        if not side.units:
            side.units, side.details = units, details
        missing = [name for name in side.units if name not in values]
        if missing:
            raise BrokenError(f"{side.label} measured {missing[0]} before, and now it does not")
        return values, disturbed

    def _run_round(self, which: Round) -> tuple[list[dict[str, float]], bool]:
        runs = [self._run_side(self._b if side == REAL_B else self._a) for side in which.runs()]
        return [values for values, _ in runs], any(disturbed for _, disturbed in runs)

    def _run_batch(self, batch: list[Round]) -> None:
        for number, which in enumerate(batch, start=1):
            started = time.monotonic()
            runs, disturbed = self._run_round(which)
            while disturbed and not self._plan.even_if_busy:
                self._measured.disturbed += 1
                self._refuse_if_hopeless()
                self._report("others used the machine in this round: it is run again")
                self._wait_for_quiet()
                runs, disturbed = self._run_round(which)
            self._measured.rounds.append((which, runs))
            left = (len(batch) - number) * (time.monotonic() - started)
            kind = "A against A" if which.null else "A against B"
            self._report(f"round {len(self._measured.rounds)}, {kind}: about {left:.0f} s to go")

    def _refuse_if_hopeless(self) -> None:
        lost, kept = self._measured.disturbed, len(self._measured.rounds)
        if lost > max(kept, 4):
            raise RefusedError(f"this machine is busy: others used it in {lost} of {lost + kept} rounds; end them, or wait, "
                               "and try again")

    def _precise_enough(self) -> bool:
        return all(Noise.of(one.effects, one.nulls).half_width(len(one.effects)) <= self._plan.resolution
                   for one in self._measured.series())
