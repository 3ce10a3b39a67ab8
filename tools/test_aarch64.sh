#!/usr/bin/env bash
# Cross-compiles the CPU kernels and their tests for AArch64 and runs them under qemu, once for each processor below, so
# that every NEON table runs where it is available and is refused where it is not. Needs the packages of
# packages/debian-aarch64.txt. Usage: test_aarch64.sh [jobs]
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-2}
build=build-aarch64
mkdir -p "$build"

missing=$(sed -e 's/#.*//' packages/debian-aarch64.txt | xargs -n1 sh -c 'dpkg -s "$0" >/dev/null 2>&1 || echo "$0"')
if [ -n "$missing" ]; then
  echo "test_aarch64: these packages are missing: $(echo "$missing" | xargs)" >&2
  exit 1
fi

# The kernels and what they stand on need no third-party library but fmt, whose headers are enough; so this is a list of
# files and not a cross-build of the project.
sources=(
  src/cpu/kernels/kernels_scalar.cpp src/cpu/isa.cpp src/cpu/packed_matrix.cpp src/cpu/packed_layout.cpp
  src/cpu/coded_row.cpp src/cpu/workspace.cpp src/cpu/aligned_memory.cpp src/support/thread_pool.cpp
  src/support/printable.cpp
  src/quant/*.cpp tests/cpu/kernel_attention_test.cpp tests/cpu/kernel_products_test.cpp tests/cpu/kernel_vectors_test.cpp
  /usr/src/googletest/googletest/src/gtest-all.cc /usr/src/googletest/googletest/src/gtest_main.cc)
declare -A flags=(
  [src/cpu/kernels/kernels_neon.cpp]=-march=armv8-a
  [src/cpu/kernels/kernels_neon_dotprod.cpp]=-march=armv8.2-a+dotprod
  [src/cpu/kernels/kernels_neon_i8mm.cpp]=-march=armv8.2-a+dotprod+i8mm)

objects=()
rules=$build/build.ninja
compiler="$(command -v ccache || true) aarch64-linux-gnu-g++"
{
  echo "builddir = $build"
  echo "rule cxx"
  echo "  command = $compiler -std=c++20 -O2 -g -Wall -Wextra -Wshadow -DFMT_HEADER_ONLY -isystem $build/system" \
    "-isystem /usr/src/googletest/googletest/include -I/usr/src/googletest/googletest" \
    "-Isrc -Itests -Iinclude \$flags -MMD -MF \$out.d -c \$in -o \$out"
  echo "  depfile = \$out.d"
  echo "rule link"
  echo "  command = aarch64-linux-gnu-g++ -static \$in -o \$out -pthread"
  for source in "${sources[@]}" "${!flags[@]}"; do
    [ -e "$source" ] || continue
    object=$build/$(basename "$source").o
    objects+=("$object")
    echo "build $object: cxx $source"
    echo "  flags = ${flags[$source]:-}"
  done
  echo "build $build/test_kernels: link ${objects[*]}"
} > "$rules"
mkdir -p "$build/system"
for header in fmt nlohmann; do ln -sfn "/usr/include/$header" "$build/system/$header"; done
ninja -f "$rules" -j "$jobs" "$build/test_kernels"

# A Cortex-A53 has Advanced SIMD alone, a Cortex-A76 the dot product as well, and `max` i8mm too.
for cpu in cortex-a53 cortex-a76 max; do
  echo "test_aarch64: qemu's $cpu"
  qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$cpu" "$build/test_kernels" --gtest_brief=1
done
