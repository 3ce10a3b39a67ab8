"""What a measured command prints: JSON of the schema "lattice-bench/1" (docs/benchmarks.md), or Google Benchmark's."""

import json
import math
from dataclasses import dataclass
from typing import Any

from .errors import BrokenError

SCHEMA = "lattice-bench/1"
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Output:
    """One run of one command."""

    values: dict[str, float]  # by benchmark, smaller is better
    units: dict[str, str]
    logits_hash: str | None
    details: dict[str, Any]  # what the program says of itself and of the machine, kept as it is


def _check(holds: bool, source: str, problem: str) -> None:
    if not holds:
        raise BrokenError(f"the output of {source} cannot be used: {problem}")


def _positive(value: Any, source: str, name: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _check(number and math.isfinite(value) and value > 0, source, f"the value of {name} is {value!r}, not a number above zero")
    return float(value)


def _lattice(document: dict[str, Any], source: str) -> Output:
    _check(document["schema"] == SCHEMA, source, f"its schema is {document['schema']!r}, not {SCHEMA!r}")
    values: dict[str, float] = {}
    units: dict[str, str] = {}
    for one in document["benchmarks"]:
        _check(isinstance(one, dict) and isinstance(one.get("name"), str), source, "a benchmark has no name")
        name = one["name"]
        _check(name not in values, source, f"{name} stands there twice")
        value = _positive(one.get("value"), source, name)
        better = one.get("better", "lower")
        _check(better in ("lower", "higher"), source, f"{name}: better is {better!r}, neither \"lower\" nor \"higher\"")
        unit = one.get("unit", "")
        _check(isinstance(unit, str), source, f"{name}: unit is no text")
        # Everything below works on what is better when smaller.
        values[name] = value if better == "lower" else 1.0 / value
        units[name] = unit if better == "lower" else f"1/({unit})"
    logits_hash = document.get("logits_hash")
    _check(logits_hash is None or isinstance(logits_hash, str), source, "logits_hash is no text")
    details: dict[str, Any] = {key: document[key] for key in ("program", "machine", "device", "model", "roof") if key in document}
    return Output(values, units, logits_hash, details)


def _google(document: dict[str, Any], source: str) -> Output:
    values: dict[str, float] = {}
    units: dict[str, str] = {}
    for one in document["benchmarks"]:
        _check(isinstance(one, dict) and isinstance(one.get("name"), str), source, "a benchmark has no name")
        name = one["name"]
        _check(not one.get("error_occurred"), source, f"{name} failed: {one.get('error_message')}")
        # With repetitions only their median counts, under the benchmark's own name.
        if one.get("run_type") == "aggregate":
            if one.get("aggregate_name") != "median":
                continue
            name = one.get("run_name", name)
        elif one.get("repetitions", 1) not in (0, 1):
            continue
        _check(name not in values, source, f"{name} stands there twice")
        unit = one.get("time_unit", "ns")
        _check(unit in _SECONDS, source, f"{name}: the time unit {unit!r} is unknown")
        values[name] = _positive(one.get("real_time"), source, name) * _SECONDS[unit]
        units[name] = "s"
    return Output(values, units, None, {"context": document["context"]})


def parse(text: str, source: str) -> Output:
    """Reads what `source` printed. Throws BrokenError naming it for anything that is not one of the two forms."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        beginning = text[:80].strip()
        raise BrokenError(f"the output of {source} is no JSON ({error}); it begins {beginning!r}") from None
    _check(isinstance(document, dict), source, "it is no JSON object")
    _check(isinstance(document.get("benchmarks"), list), source, "it has no list of benchmarks")
    if "schema" in document:
        output = _lattice(document, source)
    else:
        _check(isinstance(document.get("context"), dict), source, "it has neither a schema nor Google Benchmark's context")
        output = _google(document, source)
    _check(bool(output.values), source, "it measured nothing")
    return output
