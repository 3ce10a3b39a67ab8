#!/usr/bin/env python3
"""Measures a device and writes one report of it that can be sent: `make bench-report DEVICE=metal`.

    tools/bench_report.py BUILD --device metal [--out FOLDER] [--quick]

What it holds: the machine, the devices, `lattice bench` of the shipped model and of random weights in 0.8B's shape, every kernel by
itself, and on a GPU the answers to the questions of docs/apple-silicon.md. It leaves report.json and report.md. A part that fails is
in the report with what it said, and ends nothing; a device that is not there ends all of it, with status 1.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import predict_apple

SCHEMA = "lattice-report/1"
GPUS = ("metal", "cuda", "soft")
CONTEXTS = f"0,{predict_apple.CONTEXT},4096,16384"
_TIMEOUT = 3600  # seconds, of one part
_LAST_WORDS = 1200  # characters of what a part said that failed


class Run:
    """One program's end: its output, or why there is none."""

    def __init__(self, words: List[str], timeout: float = _TIMEOUT) -> None:
        self.words = words
        self.error: Optional[str] = None
        self.out = ""
        start = time.monotonic()
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout, stdin=subprocess.DEVNULL, check=False)
            self.out = done.stdout
            if done.returncode != 0:
                said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
                self.error = f"status {done.returncode}: {said[-_LAST_WORDS:]}"
        except subprocess.TimeoutExpired:
            self.error = f"it did not end within {timeout:g} s"
        except OSError as error:
            self.error = f"it cannot be started: {error.strerror}"
        self.seconds = time.monotonic() - start


def first_line(words: List[str]) -> Optional[str]:
    run = Run(words, timeout=10)
    return run.out.strip().splitlines()[0] if run.error is None and run.out.strip() else None


def processor() -> Optional[str]:
    if sys.platform == "darwin":
        return first_line(["sysctl", "-n", "machdep.cpu.brand_string"])
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or None


def machine() -> Dict[str, Any]:
    out = {"processor": processor(), "system": f"{platform.system()} {platform.release()} {platform.machine()}", "python": platform.python_version()}
    if sys.platform == "darwin":
        out["macos"] = platform.mac_ver()[0]
        out["model"] = first_line(["sysctl", "-n", "hw.model"])
        out["memory_bytes"] = first_line(["sysctl", "-n", "hw.memsize"])
        out["compiler"] = first_line(["xcrun", "-sdk", "macosx", "metal", "--version"])
    return out


class Part:
    """A program of the build, and how to read what it prints."""

    def __init__(self, name: str, words: List[str], reads: Callable[[str], Any]) -> None:
        self.name = name
        self.words = words
        self.reads = reads

    def run(self) -> Dict[str, Any]:
        run = Run(self.words)
        out: Dict[str, Any] = {"command": " ".join([Path(self.words[0]).name, *self.words[1:]]), "seconds": round(run.seconds, 1)}
        if run.error is None:
            try:
                out["result"] = self.reads(run.out)
            except ValueError as error:
                out["error"] = f"what it printed cannot be read: {error}"
        else:
            out["error"] = run.error
        return out


def without_folders(text: str) -> Any:
    """A bench's JSON; of a model's path, which may name its owner, the last part."""
    out = json.loads(text)
    out["model"]["name"] = Path(out["model"]["name"]).name
    return out


def bench(build: Path, device: str, more: List[str], quick: bool) -> List[str]:
    effort = ["--prefill", "16", "--contexts", "0", "--repeats", "1", "--steps", "1"] if quick else ["--prefill", "512", "--contexts", CONTEXTS]
    return [str(build / "lattice"), "bench", "--device", device, "--json", "--quiet", *effort, *more]


def parts_of(build: Path, device: str, quick: bool) -> List[Part]:
    # In software every thread is a fiber: the shipped model's token takes a second or so, and 0.8B's a minute.
    small = quick or device == "soft"
    parts = [Part("shipped", bench(build, device, [], small), without_folders)]
    if not small:
        for kind in ("q4_0", "q8_0", "bf16"):
            parts.append(Part(f"0.8b-{kind}", bench(build, device, ["--shape", "0.8b", "--type", kind], False), without_folders))
    if device == "cpu" and (build / "bench_kernels").exists():
        only = ["--benchmark_filter=^(gemv/q8_0/0.8b/down/|quantize/1024)", "--benchmark_min_time=0.01"] if small else ["--benchmark_min_time=0.05"]
        parts.append(Part("kernels", [str(build / "bench_kernels"), "--benchmark_format=json", *only], json.loads))
    if device in GPUS:
        if (build / "gpu_profile").exists() and not small:
            parts.append(Part("kernels", [str(build / "gpu_profile"), "--device", device], str))
        parts.append(Part("questions", [str(build / "gpu_probe"), "all", device, *(["quick"] if small else [])], str))
    return parts


def chip_of(name: Optional[str], cores: Optional[int] = None) -> Optional[predict_apple.Chip]:
    """The chip that "Apple M2 Max" names; of two the one with so many GPU cores, else the larger."""
    fitting = [chip for chip in predict_apple.CHIPS if name == f"Apple {chip.name}"]
    by_cores = [chip for chip in fitting if cores is not None and str(cores) in chip.cores.split(", ")]
    return (by_cores or fitting or [None])[-1]


def prediction_lines(report: Dict[str, Any]) -> List[str]:
    chip = chip_of(report["machine"]["processor"])
    if chip is None or report["device"] != "metal":
        return []
    rows = []
    for name, bits in predict_apple.FORMATS.items():
        shape = predict_apple.SHAPES[0]
        measured = next((entry["tokens_per_second"] for entry in report["parts"].get(f"0.8b-{name.lower()}", {}).get("result", {}).get("benchmarks", [])
                         if entry["name"] == f"decode/{predict_apple.CONTEXT}"), None)
        rows.append([name, f"{predict_apple.roofline(chip, shape, bits):.0f}", f"{predict_apple.predicted(chip, shape, bits):.0f}",
                     "–" if measured is None else f"{measured:.0f}"])
    return ["", f"0.8B on {chip.name}, {predict_apple.CONTEXT} tokens of context, tokens a second:", "",
            *predict_apple.table(["format", "roofline", "predicted", "measured"], rows)]


def bench_lines(result: Dict[str, Any]) -> List[str]:
    rows = []
    for entry in result["benchmarks"]:
        mbu = f"{100 * entry['mbu']:.1f}" if "mbu" in entry else "–"
        rows.append([entry["name"], f"{entry['tokens_per_second']:.1f}", f"{entry['value'] * 1e6:,.0f}",
                     f"{entry['min'] * 1e6:,.0f} – {entry['max'] * 1e6:,.0f}", mbu, f"{entry['dispatches']:.0f}" if entry.get("dispatches") else "–"])
    model = result["model"]
    return [f"{result['device']}, {model['type']}, keys and values {model['kv']}, {result['roof']['bytes_per_second'] / 1e9:.1f} GB/s measured", "",
            *predict_apple.table(["benchmark", "tok/s", "µs", "range", "MBU %", "dispatches"], rows)]


def kernel_lines(result: Dict[str, Any]) -> List[str]:
    return predict_apple.table(["kernel", "time", "unit"], [[entry["name"], f"{entry['real_time']:.3f}", entry["time_unit"]] for entry in result["benchmarks"]])


def markdown(report: Dict[str, Any]) -> str:
    out = [f"# Lattice on {report['machine']['processor'] or 'an unnamed processor'}: device {report['device']}", "",
           f"{report['date']}, commit {report['commit'] or 'unknown'}{', quick: the figures mean nothing' if report['quick'] else ''}", ""]
    out += [f"- {key}: {value}" for key, value in report["machine"].items() if value]
    out += [f"- device {device['name']}: {device['description']}" for device in report["devices"]["devices"]]
    out += [f"- no device {device['name']}: {device['reason']}" for device in report["devices"]["absent"]]
    out += prediction_lines(report)
    for name, part in report["parts"].items():
        out += ["", f"## {name}", "", f"`{part['command']}`, {part['seconds']:g} s", ""]
        if "error" in part:
            out += ["It failed:", "", "```", part["error"], "```"]
        elif isinstance(part["result"], str):
            out += ["```", part["result"].strip(), "```"]
        elif "model" in part["result"]:
            out += bench_lines(part["result"])
        else:
            out += kernel_lines(part["result"])
    return "\n".join(out) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="the folder that the programs were built in")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="the folder for the report; the build's, without it")
    parser.add_argument("--quick", action="store_true", help="whether it works, and no figures")
    arguments = parser.parse_args()
    listed = Run([str(arguments.build / "lattice"), "devices", "--json"])
    if listed.error is not None:
        print(f"bench_report: {arguments.build / 'lattice'}: {listed.error}", file=sys.stderr)
        return 1
    devices = json.loads(listed.out)
    if arguments.device not in [device["name"] for device in devices["devices"]]:
        why = next((device["reason"] for device in devices["absent"] if device["name"] == arguments.device), "there is no such device")
        print(f"bench_report: device {arguments.device} cannot be measured here: {why}", file=sys.stderr)
        return 1

    report: Dict[str, Any] = {"schema": SCHEMA, "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                              "commit": first_line(["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short=12", "HEAD"]),
                              "device": arguments.device, "quick": arguments.quick, "machine": machine(), "devices": devices, "parts": {}}
    for part in parts_of(arguments.build, arguments.device, arguments.quick):
        print(f"{part.name} …", file=sys.stderr, flush=True)
        report["parts"][part.name] = part.run()
    out = arguments.out or arguments.build
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (out / "report.md").write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        print(f"bench_report: {out}: {error.strerror}", file=sys.stderr)
        return 1
    failed = [name for name, part in report["parts"].items() if "error" in part]
    print(f"{out / 'report.md'}, {out / 'report.json'}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
