"""Markdown for the terminal and JSON for the record."""

import datetime
import math
from typing import Any

from .judge import Judgement, Verdict
from .measure import Measured

SCHEMA = "lattice-bench-compare/1"
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def _amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.4g} {unit}".strip()
    for size, name in _UNITS:
        if value >= size:
            return f"{value / size:.4g} {name}"
    return f"{value:.3g} s"


def _percent(log_ratio: float) -> str:
    return f"{math.expm1(log_ratio) * 100:+.1f} %"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _hash_lines(measured: Measured) -> list[str]:
    lines = []
    for side in (measured.a, measured.b):
        if len(side.hashes) > 1:
            lines.append(f"**{side.label} computes other results from run to run**: {', '.join(sorted(side.hashes))}.")
    if measured.a.hashes and measured.b.hashes:
        same = measured.a.hashes == measured.b.hashes
        lines.append("Both compute the same logits, bit for bit." if same else
                     "**The two compute different logits**: " +
                     " and ".join(", ".join(sorted(side.hashes)) for side in (measured.a, measured.b)) + ".")
    return lines


def markdown(measured: Measured, judgements: list[Judgement], refusal: str | None) -> str:
    """A table with one line a benchmark, and what it rests on."""
    lines = [f"A is {measured.a.label}, B is {measured.b.label}; smaller is better, a ratio above 1 means that B is slower.", ""]
    lines.append(_row(["benchmark", "A", "B", "B / A", "95 % interval", "A against A", "shows from", "verdict"]))
    lines.append(_row(["---", "--:", "--:", "--:", "--:", "--:", "--:", "---"]))
    for one in judgements:
        # The name stands in a table's cell, whatever it is.
        name = "".join(c if c.isprintable() else "?" for c in one.name).replace("|", "\\|")
        verdict = "not judged" if refusal else one.verdict.value
        lines.append(_row([name, _amount(one.median_a, one.unit), _amount(one.median_b, one.unit), f"{one.ratio:.4f}",
                           f"{_percent(one.interval.low)} … {_percent(one.interval.high)}", _percent(one.null_effect),
                           f"±{math.expm1(one.resolution) * 100:.1f} %", f"**{verdict}**" if verdict in ("faster", "slower") else verdict]))
    real = sum(not which.null for which, _ in measured.rounds)
    lines += ["", f"{real} rounds of A against B and {len(measured.rounds) - real} of A against A, four runs each; "
                  f"{measured.disturbed} more were thrown away because others used the machine."]
    if not measured.quiet:
        lines.append("**Taken without looking whether the machine was quiet.**")
    for side in (measured.a, measured.b):
        if only := measured.only_in(side):
            lines.append(f"Only in {side.label}, and not judged: {', '.join(only)}.")
    lines += _hash_lines(measured)
    if refusal:
        lines += ["", f"**Refused**: {refusal}"]
    return "\n".join(lines) + "\n"


def _judgement_json(one: Judgement, measured: Measured, refusal: str | None) -> dict[str, Any]:
    series = next(series for series in measured.series() if series.name == one.name)
    return {
        "name": one.name,
        "unit": one.unit,
        "median_a": one.median_a,
        "median_b": one.median_b,
        "ratio": one.ratio,
        "interval_95": [math.exp(one.interval.low), math.exp(one.interval.high)],
        "p_adjusted": one.p,
        "null_ratio": math.exp(one.null_effect),
        "null_p_adjusted": one.null_p,
        "resolution": math.expm1(one.resolution),
        "verdict": "not judged" if refusal else one.verdict.value,
        "runs_a": series.a,
        "runs_b": series.b,
        "log_ratios": series.effects,
        "null_log_ratios": series.nulls,
    }


def record(measured: Measured, judgements: list[Judgement], refusal: str | None, machine: dict[str, Any],
           command: list[str]) -> dict[str, Any]:
    """One JSON object of the schema "lattice-bench-compare/1" (docs/benchmarks.md)."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    sides = {}
    for key, side in (("a", measured.a), ("b", measured.b)):
        sides[key] = {"label": side.label, "commands": [str(command) for command in side.commands],
                      "logits_hashes": sorted(side.hashes), "programs": side.details}
    return {
        "schema": SCHEMA,
        "taken": now,
        "command": command,
        "machine": machine,
        "quiet": measured.quiet,
        "refused": refusal,
        **sides,
        "rounds": [{"order": which.order, "null": which.null} for which, _ in measured.rounds],
        "rounds_thrown_away": measured.disturbed,
        "benchmarks": [_judgement_json(one, measured, refusal) for one in judgements],
    }


def has_slower(judgements: list[Judgement]) -> bool:
    return any(one.verdict is Verdict.SLOWER for one in judgements)
