#!/usr/bin/env python3
"""Checks that documents point at the lines of this tree that they speak of.

    tools/study_refs.py          # says what is wrong, and exits with 1 where something is
    tools/study_refs.py --fix    # rewrites the line numbers; what it cannot find it says

A reference is a path from the root, a line, and the name of what that line defines, in one form:

    `src/gpu/kernels/gemv.metal:97 (gemv)`

The name is a function's, kernel's, type's, member's, constant's or macro's. A member may have its type before it, as `Type::name`,
and must where it is defined outside. A function that is only declared counts where the file defines none of that name, so that
headers can be pointed at.
"""
import argparse
import re
import sys
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple

DOCUMENTS = ("docs/mlx-kernel-study.md",)
ROOT = Path(__file__).resolve().parent.parent

REFERENCE = re.compile(r"`(?P<path>[\w./-]+):(?P<line>\d+) \((?P<name>\w+(?:::\w+)*)\)`")
# What looks like a reference into this tree, whether it has the form or not: none may escape the check.
LOOKS_LIKE_ONE = re.compile(r"(?<![\w/])(?:src|include|tests|tools)/[\w./-]+\.\w+:\d+")

TOKEN = re.compile(r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<macro>\#[ \t]*define[ \t]+(?P<macro_name>\w+)(?:\\\n|[^\n])*)
  | (?P<directive>\#(?:\\\n|[^\n])*)
  | (?P<text>R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<word>\w+)
  | (?P<mark_of_scope>::)
  | (?P<other>.)
""", re.VERBOSE | re.DOTALL)
TYPE_WORDS = {"struct", "class", "union", "enum"}
# Words that can stand before a parenthesis without being a function's name.
NOT_NAMES = {"alignas", "decltype", "noexcept", "operator", "requires", "static_assert"}


class Token(NamedTuple):
    text: str
    line: int


class Problem(NamedTuple):
    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def tokens_of(source: str, macros: Dict[str, List[int]]) -> List[Token]:
    """The words and marks of a C++ or Metal source, `::` as one and texts as `""`. Macros' names go into `macros`."""
    out = []
    line = 1
    for match in TOKEN.finditer(source):
        if match["macro"]:
            macros.setdefault(match["macro_name"], []).append(line)
        elif match["text"]:
            out.append(Token('""', line))
        elif not match["space"] and not match["directive"]:
            out.append(Token(match[0], line))
        line += match[0].count("\n")
    return out


def without_attributes(tokens: List[Token]) -> List[Token]:
    """Without [[…]], whose words would look like functions."""
    out = []
    depth = 0
    for at, token in enumerate(tokens):
        if token.text == "[":
            if depth == 0 and not (at + 1 < len(tokens) and tokens[at + 1].text == "["):
                out.append(token)
                continue
            depth += 1
        elif token.text == "]" and depth > 0:
            depth -= 1
        elif depth == 0:
            out.append(token)
    return out


def name_before(tokens: List[Token], at: int) -> Token:
    """The name that ends before `at`, with what qualifies it."""
    begin = at - 1
    while begin >= 2 and tokens[begin - 1].text == "::":
        begin -= 2
    return Token("".join(token.text for token in tokens[begin:at]), tokens[at - 1].line)


def names_of(tokens: List[Token]) -> List[Token]:
    """What one declaration, up to its brace or semicolon, gives a name to: first where its type words, parenthesis or
    equals sign stand, in this order."""
    angle = 0
    parameters = None
    for at, token in enumerate(tokens):
        if token.text == "<":
            angle += 1
        elif token.text == ">":
            angle = max(0, angle - 1)
        elif angle:
            continue
        elif token.text in TYPE_WORDS:
            rest = [word for word in tokens[at + 1:at + 3] if word.text not in TYPE_WORDS and re.match(r"[A-Za-z_]", word.text)]
            if rest and not any(word.text == "(" for word in tokens[at:]):
                return [rest[0]]
        elif token.text == "(" and at > 0 and re.match(r"[A-Za-z_]", tokens[at - 1].text) and tokens[at - 1].text not in NOT_NAMES:
            parameters = at
            break
        elif token.text in ("=", "["):
            break
    if parameters is not None:
        return [name_before(tokens, parameters)]
    words = []
    for token in tokens:
        if token.text in ("=", "[", "{"):
            break
        words.append(token)
    if words and re.match(r"[A-Za-z_]", words[-1].text) and len(words) > 1:
        return [words[-1]]
    return []


def definitions_of_cpp(source: str) -> Dict[str, List[int]]:
    """Lines by the names that they define; declarations of functions where there is no definition."""
    defined: Dict[str, List[int]] = {}
    declared: Dict[str, List[int]] = {}
    tokens = without_attributes(tokens_of(source, defined))
    scopes: List[str] = []  # open types' names, and "" for namespaces
    pending: List[Token] = []
    depth = 0  # of braces whose inside gives no names
    parens = 0
    for token in tokens:
        if depth:
            depth += {"{": 1, "}": -1}.get(token.text, 0)
            continue
        parens += {"(": 1, ")": -1}.get(token.text, 0)
        words = [word.text for word in pending]
        if token.text == ":" and words in (["public"], ["private"], ["protected"]):
            pending = []
            continue
        if parens or token.text not in ("{", "}", ";"):
            pending.append(token)
            continue
        scope = None
        if token.text == "}":
            if scopes:
                scopes.pop()
        elif "namespace" in words or words[:1] == ["extern"]:
            scope = ""
        elif words[:1] != ["using"] or "=" in words:
            is_function = "(" in words
            is_type = not is_function and "=" not in words and any(word in TYPE_WORDS for word in words)
            into = declared if token.text == ";" and (is_function or is_type) else defined
            for name in names_of(pending):
                is_constructor = scopes and name.text == scopes[-1]
                if not is_constructor:
                    into.setdefault(name.text, []).append(name.line)
                if scopes and scopes[-1]:
                    into.setdefault(scopes[-1] + "::" + name.text, []).append(name.line)
                scope = name.text if is_type else None
        if token.text == "{":
            if scope is None:
                depth = 1
            else:
                scopes.append(scope)
        pending = []
    for name, lines in declared.items():
        defined.setdefault(name, lines)
    return defined


def definitions_of_python(source: str) -> Dict[str, List[int]]:
    out: Dict[str, List[int]] = {}
    for number, line in enumerate(source.splitlines(), 1):
        match = re.match(r"\s*(?:def|class)\s+(\w+)|([A-Z_]+)\s*=", line)
        if match:
            out.setdefault(match[1] or match[2], []).append(number)
    return out


def definitions_of(path: Path) -> Dict[str, List[int]]:
    source = path.read_text(encoding="utf-8")
    return definitions_of_python(source) if path.suffix == ".py" else definitions_of_cpp(source)


class Walk(NamedTuple):
    text: str                # of the document, with references replaced
    problems: List[Problem]  # with references that no line number could mend
    references: int


def walk(root: Path, document: str, replacement: Callable[[int, "re.Match[str]", List[int]], str]) -> Walk:
    """Puts replacement(line of the document, reference, the lines that define its name) in each reference's place."""
    problems = []
    definitions: Dict[str, Dict[str, List[int]]] = {}
    count = 0
    out = []
    for number, line in enumerate((root / document).read_text(encoding="utf-8").splitlines(keepends=True), 1):
        def replace(match: "re.Match[str]") -> str:
            nonlocal count
            count += 1
            path = match["path"]
            if not (root / path).is_file():
                problems.append(Problem(document, number, f"there is no {path}"))
                return match[0]
            if path not in definitions:
                definitions[path] = definitions_of(root / path)
            lines = definitions[path].get(match["name"], [])
            if not lines:
                problems.append(Problem(document, number, f"{path} does not define {match['name']}"))
                return match[0]
            return replacement(number, match, lines)

        for stray in LOOKS_LIKE_ONE.finditer(REFERENCE.sub("", line)):
            problems.append(Problem(document, number, f"{stray[0]} lacks the form `path:line (name)`, all of it on one line"))
        out.append(REFERENCE.sub(replace, line))
    return Walk("".join(out), problems, count)


class Checked(NamedTuple):
    problems: List[Problem]
    references: int


def check(root: Path, document: str) -> Checked:
    """What is wrong in `document`."""
    moved = []

    def keep(number: int, match: "re.Match[str]", lines: List[int]) -> str:
        if int(match["line"]) not in lines:
            moved.append(Problem(document, number, f"{match['path']}:{match['line']} does not define {match['name']}: "
                                                   f"line {' or '.join(map(str, lines))} does"))
        return match[0]

    walked = walk(root, document, keep)
    return Checked(sorted(walked.problems + moved, key=lambda problem: problem.line), walked.references)


def fix(root: Path, document: str) -> None:
    """Rewrites line numbers in `document`, to the nearest where a name is defined more than once."""
    def nearest(_: int, match: "re.Match[str]", lines: List[int]) -> str:
        line = min(lines, key=lambda candidate: abs(candidate - int(match["line"])))
        return f"`{match['path']}:{line} ({match['name']})`"

    path = root / document
    text = walk(root, document, nearest).text
    if text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check references from documents into this tree.")
    parser.add_argument("--fix", action="store_true", help="rewrite line numbers that have moved")
    arguments = parser.parse_args()
    problems: List[Problem] = []
    references = 0
    for document in DOCUMENTS:
        if arguments.fix:
            fix(ROOT, document)
        checked = check(ROOT, document)
        problems += checked.problems
        references += checked.references
    for problem in problems:
        print(problem)
    print(f"{references} references, {len(problems)} wrong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
