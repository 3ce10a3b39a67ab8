#!/usr/bin/env bash
# Runs the kernels' tests against the AVX-VNNI, AVX-512 and AMX kernels on a processor that has none of them: their
# source is compiled against a header that computes the instructions element by element (tests/cpu/emulated). That finds wrong code; what a
# compiler makes of it is tested where the processor has the instructions, by the same tests. Needs AVX2, FMA and F16C, and googletest's
# sources. Usage: test_avx512.sh [jobs]
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-2}
build=build-avx512
mkdir -p "$build"

sources=(
  src/cpu/kernels/kernels_avx2.cpp src/cpu/kernels/kernels_avxvnni.cpp src/cpu/kernels/kernels_avx512.cpp
  src/cpu/kernels/kernels_avx512vnni.cpp src/cpu/kernels/kernels_amx.cpp
  tests/cpu/emulated/isa.cpp
  src/cpu/packed_matrix.cpp src/cpu/packed_layout.cpp src/cpu/coded_row.cpp src/cpu/workspace.cpp
  src/cpu/aligned_memory.cpp src/support/thread_pool.cpp src/support/printable.cpp src/quant/*.cpp
  tests/cpu/kernel_attention_test.cpp tests/cpu/kernel_products_test.cpp tests/cpu/kernel_vectors_test.cpp
  /usr/src/googletest/googletest/src/gtest-all.cc /usr/src/googletest/googletest/src/gtest_main.cc)

objects=()
{
  echo "builddir = $build"
  echo "rule cxx"
  echo "  command = $(command -v ccache || true) g++ -std=c++20 -O1 -w -DFMT_HEADER_ONLY" \
    "-isystem /usr/src/googletest/googletest/include -I/usr/src/googletest/googletest" \
    "-Isrc -Itests -Iinclude \$flags -MMD -MF \$out.d -c \$in -o \$out"
  echo "  depfile = \$out.d"
  echo "rule link"
  echo "  command = g++ \$in -o \$out -pthread"
  for source in "${sources[@]}"; do
    object=$build/$(basename "$source").o
    objects+=("$object")
    echo "build $object: cxx $source"
    case $source in
      *kernels_avx* | *kernels_amx*) echo "  flags = -Itests/cpu/emulated -mavx2 -mfma -mf16c" ;;
    esac
  done
  echo "build $build/test_kernels: link ${objects[*]}"
} > "$build/build.ninja"
ninja -f "$build/build.ninja" -j "$jobs" "$build/test_kernels"
"$build/test_kernels" --gtest_brief=1
