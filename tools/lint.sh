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
# Clang's analyser follows paths through included files only where the file that includes them is called UnifiedSource
# (isInCodeFile() in clang/StaticAnalyzer/Core/PathSensitive/AnalysisManager.h).
units=build-lint/units
mkdir -p "$units"
sed 's|/Unity/unity_|/Unity/UnifiedSource_|g' build-lint/compile_commands.json >"$units/compile_commands.json"
find build-lint -name 'unity_*_cxx.cxx' | while read -r unit; do cp "$unit" "${unit/unity_/UnifiedSource_}"; done
# Not every file: those of another processor's instruction sets do not compile here. Nor what the build wrote, but for the files
# that include eight of ours.
python3 -c 'import json, sys; print(*sorted({entry["file"] for entry in json.load(sys.stdin)}), sep="\n")' <"$units/compile_commands.json" |
  grep -E "^$PWD/(src/|build-lint/.*/Unity/)" | xargs -P "$jobs" -n 1 clang-tidy --quiet -p "$units" 2> >(grep -vE 'warnings? generated' >&2)
echo "lint: formatting and clang-tidy are clean"
