#!/usr/bin/env bash
# Checks formatting of every C and C++ file, then runs clang-tidy over what the build compiles. Usage: lint.sh [jobs]
#
# clang-tidy looks at eight files of a layer at once: most of its time goes into the libraries' headers that they share.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-2}

git ls-files -co --exclude-standard '*.h' '*.hpp' '*.cpp' '*.c' | xargs clang-format --dry-run -Werror

cmake -G Ninja -S . -B build-lint -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON \
  -DLATTICE_BUILD_TESTS=OFF -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ >/dev/null
cmake --build build-lint --target lattice_build_info >/dev/null  # the one header that the build writes
# Not every file: those of another processor's instruction sets do not compile here.
python3 -c 'import json; print(*sorted({entry["file"] for entry in json.load(open("build-lint/compile_commands.json"))}), sep="\n")' |
  grep "^$PWD/src/" | xargs -P "$jobs" -n 4 clang-tidy --quiet -p build-lint 2> >(grep -v 'warnings generated' >&2)
echo "lint: formatting and clang-tidy are clean"
