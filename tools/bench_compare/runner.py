"""Runs one command once."""

import os
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import BrokenError
from .machine import Clock, foreign_share

_LAST_WORDS = 600  # characters of standard error that a message quotes


@dataclass(frozen=True)
class Command:
    label: str  # "BASE (1234abcd)", for messages
    words: list[str]
    directory: Path | None = None

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True)
class Finished:
    stdout: str
    foreign: float | None  # processors that others kept busy meanwhile
    seconds: float


def _stop(process: "subprocess.Popen[str]") -> None:
    """Ends the command and whatever it has started: it leads a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def run(command: Command, timeout: float, environment: dict[str, str] | None = None) -> Finished:
    """Throws BrokenError where it cannot be started, does not end in time or ends badly."""
    before = Clock.now()
    try:
        process = subprocess.Popen(command.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                   cwd=command.directory, start_new_session=True, stdin=subprocess.DEVNULL,
                                   env=None if environment is None else {**os.environ, **environment})
    except OSError as error:
        raise BrokenError(f"{command.label}: {command} cannot be started: {error.strerror}") from None
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise BrokenError(f"{command.label}: {command} did not end within {timeout:g} s") from None
    except BaseException:
        _stop(process)
        raise
    after = Clock.now()
    if process.returncode != 0:
        words = (err.strip() or out.strip() or "it said nothing")[-_LAST_WORDS:]
        raise BrokenError(f"{command.label}: {command} {_how_it_ended(process.returncode)}: {words}")
    return Finished(out, foreign_share(before, after), after.wall - before.wall)
