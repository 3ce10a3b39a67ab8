#!/usr/bin/env bash
# Builds the fuzzers with Clang, AddressSanitizer and UndefinedBehaviorSanitizer, and runs each for SECONDS, as many at a time
# as there are cores. Usage: run_fuzzers.sh [seconds]
#
# Begins from fuzz/corpus/<target>. What a run finds beyond that is kept in build-fuzz/corpus, where the next run goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
jobs=$(getconf _NPROCESSORS_ONLN)
build=build-fuzz

cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DLATTICE_BUILD_TESTS=OFF -DLATTICE_BUILD_FUZZERS=ON -DLATTICE_SANITIZE=address,undefined >/dev/null
cmake --build "$build" -j "$jobs" --target fuzzers

# Runs one target; its whole output goes to build-fuzz/logs, a line to the terminal, a finding's report as well.
fuzz_one() {
  local target=$1 log="$build/logs/$1.log"
  mkdir -p "$build/logs" "$build/corpus/$target" "$build/findings/$target"
  # An input longer than 64 KiB finds nothing that a shorter one would not, and takes the time of a hundred.
  if "$build/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536 \
    -dict="fuzz/$target.dict" -artifact_prefix="$build/findings/$target/" -print_final_stats=1 \
    "$build/corpus/$target" "fuzz/corpus/$target" >"$log" 2>&1; then
    local runs features
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    features=$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    printf 'fuzz: %-18s %10s inputs, %6s features, no findings\n' "$target" "$runs" "$features"
    return 0
  fi
  local finding
  finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  printf 'fuzz: %-18s FINDING; the end of %s:\n' "$target" "$log"
  tail -n 40 "$log"
  if [[ -n $finding ]]; then
    printf 'fuzz: to reproduce: %s/fuzz_%s %s\n' "$build" "$target" "$finding"
  fi
  return 1
}
export -f fuzz_one
export build seconds

for directory in fuzz/corpus/*/; do printf '%s\0' "$(basename "$directory")"; done |
  xargs -0 -P "$jobs" -I {} bash -c 'fuzz_one {}' || {
  echo "fuzz: there are findings (above)" >&2
  exit 1
}
