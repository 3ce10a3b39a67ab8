"""The machine: what it is, and whether others are using it."""

import os
import platform
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Processor time that strangers may take, of one processor: a quiet desktop's background stays below it.
QUIET_SHARE = 0.10
# /proc/stat counts hundredths of a second on each processor: less than this is rounding.
_ROUNDING_SECONDS = 0.05
_QUIET_LOOK_SECONDS = 2.0
# Where there is no /proc/stat, the load average must do; it takes a minute to fall.
_QUIET_LOAD_PER_PROCESSOR = 0.25


@dataclass(frozen=True)
class Clock:
    """Processor seconds used so far, on the whole machine and by our own children; and the wall's."""

    wall: float
    machine: float | None
    own: float

    @staticmethod
    def now() -> "Clock":
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in used)
        return Clock(time.monotonic(), _machine_seconds(), own)


def _machine_seconds() -> float | None:
    """All but idle time and waiting for disks; with what a hypervisor took away (steal)."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def foreign_share(before: Clock, after: Clock) -> float | None:
    """Processors that others kept busy between two moments; None where the machine does not say."""
    if before.machine is None or after.machine is None:
        return None
    wall = max(after.wall - before.wall, 1e-9)
    foreign = (after.machine - before.machine) - (after.own - before.own)
    return 0.0 if foreign < _ROUNDING_SECONDS else foreign / wall


def busy_sentence() -> str | None:
    """Looks for two seconds, in which we do nothing. None: the machine is quiet."""
    before = Clock.now()
    if before.machine is None:
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        return None if load <= _QUIET_LOAD_PER_PROCESSOR else f"its load average is {load:.2f} a processor"
    time.sleep(_QUIET_LOOK_SECONDS)
    share = foreign_share(before, Clock.now())
    if share is None or share <= QUIET_SHARE:
        return None
    return f"other processes keep {share:.2f} of {os.cpu_count()} processors busy"


def _first_line(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().split("\n")[0] or None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return _first_line(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or "unknown"


def describe() -> dict[str, Any]:
    """For the record."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": _cpu_name(),
        "processors": os.cpu_count(),
        "gpu": _first_line(["nvidia-smi", "--query-gpu=name,clocks.sm,clocks.mem,power.limit", "--format=csv,noheader"]),
        "governor": governor.read_text(encoding="ascii").strip() if governor.exists() else "unknown",
        "load_1m": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
