"""Says what in Metal sources is not plain MSL of Metal 3.1.

    PYTHONPATH=tools python3 -m check_msl src/gpu/kernels/*.metal src/gpu/kernels/*.h

Needs clang; other than Apple's compiler it needs no Mac. Exits with 1 where something is wrong.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Tuple

from . import compiler, rules


def check(path: Path, clang: str) -> List[Tuple[str, int, str]]:
    """What is wrong with one file, headers that it includes among it: file, line, sentence."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [(str(path), 0, f"cannot be read: {error}")]
    out = [(str(path), problem.line, problem.text) for problem in rules.problems_of(text)]
    return out + [(file, problem.line, problem.text) for file, problem in compiler.problems_of(path, clang)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="check_msl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--compiler", help="the clang to ask")
    arguments = parser.parse_args()
    try:
        clang = compiler.find_compiler(arguments.compiler)
        with ThreadPoolExecutor() as pool:
            found = [problem for problems in pool.map(lambda path: check(path, clang), arguments.files) for problem in problems]
    except compiler.CompilerError as error:
        print(f"check_msl: {error}", file=sys.stderr)
        return 2
    for file, line, text in sorted(set(found)):
        print(f"{file}:{line}: {text}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
