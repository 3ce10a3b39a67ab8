"""What clang says of a Metal source that is given to it as C++14."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import List, Optional, Tuple

from .rules import Problem
from .source import as_cpp

INCLUDE = Path(__file__).resolve().parent / "include"
_NAMES = ("clang++-14", "clang++")

# A machine that has half, and a long of 64 bits, as Apple silicon has.
_LANGUAGE = ["-target", "arm64-apple-macos14", "-x", "c++", "-std=c++14", "-nostdinc", "-nostdinc++", "-fsyntax-only",
             "-fno-lax-vector-conversions", "-fno-exceptions", "-fno-rtti", "-D__METAL__=1",
             "-D__METAL_MACOS__=1", "-D__METAL_VERSION__=310"]
_STRICT = ["-Werror", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wdouble-promotion", "-Wold-style-cast",
           "-Wcast-qual", "-Wvla", "-Wshadow", "-Wimplicit-fallthrough"]
# Attributes are judged by rules.py; `constant const` says the same twice; a header's functions need no user.
_LENIENT = ["-Wno-unknown-attributes", "-Wno-ignored-attributes", "-Wno-duplicate-decl-specifier", "-Wno-unused-function",
            "-Wno-unused-const-variable", "-Wno-missing-braces", "-Wno-pragma-once-outside-header", "-Wno-undefined-inline",
            "-Wno-undefined-internal"]
_DIAGNOSTIC = re.compile(r"^(?P<path>.*?):(?P<line>\d+):\d+: (?P<kind>fatal error|error|warning|note): (?P<text>.*)$")
# Metal copies a struct out of any address space and into any; C++ has a copy constructor and an assignment for one of them. What
# clang says of the others is no fault, and can be told from others by its notes.
_COPIES = ("no matching constructor for initialization of", "no viable overloaded '='")
_ELSEWHERE = ("in address space", "in generic address space", "address space mismatch", "'this' object is in address space")


class CompilerError(Exception):
    """There is no clang, or what it says cannot be read."""


def find_compiler(named: Optional[str] = None) -> str:
    for name in [named] if named else _NAMES:
        found = shutil.which(name)
        if found:
            return found
    raise CompilerError(f"no {named or 'clang++'} is installed")


def problems_of(path: Path, compiler: str, shown: Optional[str] = None) -> List[Tuple[str, Problem]]:
    """By file, since headers have problems too. `shown` is the file's name in them."""
    source = as_cpp(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as headers:
        for header in path.parent.glob("*.h"):
            lines = f'#line 1 "{header}"\n{as_cpp(header.read_text(encoding="utf-8"))}'
            (Path(headers) / header.name).write_text(lines, encoding="utf-8")
        command = [compiler, *_LANGUAGE, *_STRICT, *_LENIENT, "-isystem", str(INCLUDE), "-I", headers, "-ferror-limit=0",
                   "-fno-caret-diagnostics", "-fno-color-diagnostics", "-"]
        text = f'#line 1 "{shown or path}"\n{source}'
        done = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace")
    out: List[Tuple[str, Problem]] = []
    for error, notes in _grouped(done.stderr):
        copies = error["text"].startswith(_COPIES) and any(words in note for note in notes for words in _ELSEWHERE)
        if not copies:
            out.append((error["path"], Problem(int(error["line"]), error["text"])))
    if done.returncode != 0 and not done.stderr.strip():
        raise CompilerError(f"{compiler} ended with status {done.returncode} and said nothing")
    if done.returncode != 0 and not _DIAGNOSTIC.search(done.stderr.splitlines()[0]):
        unread = [line for line in done.stderr.splitlines() if "error:" in line and not _DIAGNOSTIC.match(line)]
        if unread:
            raise CompilerError(f"{compiler}: {unread[0]}")
    return out


def _grouped(stderr: str) -> "list[tuple[dict, list[str]]]":
    out: "list[tuple[dict, list[str]]]" = []
    for line in stderr.splitlines():
        match = _DIAGNOSTIC.match(line)
        if not match:
            continue
        if match["kind"] == "note":
            if out:
                out[-1][1].append(match["text"])
        else:
            out.append((match.groupdict(), []))
    return out
