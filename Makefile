# `make run` and `make test` are all that a newcomer needs. `make help` lists the rest.

JOBS         ?= $(shell getconf _NPROCESSORS_ONLN)
PROMPT       ?= Once upon a time
FUZZ_SECONDS ?= 10
DEVICE       ?= cpu
FILTER       ?=
COMPARE_OUT  ?= build-bench/compare.json
PREFIX       ?= /usr/local
CMAKE        := cmake -G Ninja
# On a Mac: where Apple's C++ headers for Metal are put, without which there is no device metal.
METAL_CPP    ?= $(CURDIR)/build-metal-cpp
ifeq ($(shell uname),Darwin)
CMAKE        += -DLATTICE_METAL_CPP=$(METAL_CPP)
endif
# Sanitizers need line numbers and no more; the optimiser's dearer passes would double the time to compile, and so would
# reading the libraries' headers again for every file rather than for every eight.
SANITIZED    := -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O1 -g1" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" \
                -DLATTICE_BUILD_TESTS=ON -DCMAKE_UNITY_BUILD=ON
CTEST        := ctest --output-on-failure -j $(JOBS)

.DEFAULT_GOAL := help
.PHONY: bench-build bench-report help deps build run test test-release test-asan test-tsan test-aarch64 test-avx512 fuzz bench bench-quick bench-gpu bench-all bench-compare format lint install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the build needs and the machine lacks
	@tools/install_deps.sh
ifeq ($(shell uname),Darwin)
	@tools/fetch_metal_cpp.sh $(METAL_CPP) || echo "Without Apple's metal-cpp headers there will be no device metal." >&2
endif

build: deps ## build the release program, build/lattice
	@$(CMAKE) -S . -B build -DCMAKE_BUILD_TYPE=Release -DLATTICE_BUILD_TESTS=OFF >/dev/null
	@ninja -C build -n | grep -q 'no work to do' || cmake --build build -j $(JOBS)

run: build ## write a story with the shipped model (PROMPT="…" to begin it, DEVICE=… to choose where)
	@build/lattice run $(if $(filter file,$(origin DEVICE)),,--device $(DEVICE)) "$(PROMPT)"

test: deps ## run every test: release, sanitizers, and the fuzzers for FUZZ_SECONDS each
	@$(MAKE) --no-print-directory test-asan test-tsan fuzz test-release

test-release: deps ## run every test on the release build
	@$(CMAKE) -S . -B build -DCMAKE_BUILD_TYPE=Release -DLATTICE_BUILD_TESTS=ON -DLATTICE_WERROR=ON -DLATTICE_BUILD_BENCHMARKS=ON
	@cmake --build build -j $(JOBS)
	@$(CTEST) --test-dir build

test-asan: deps ## run what gains from it under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(CMAKE) -S . -B build-asan $(SANITIZED) -DLATTICE_SANITIZE=address,undefined
	@cmake --build build-asan -j $(JOBS)
	@$(CTEST) --test-dir build-asan -LE not_under_asan

test-tsan: deps ## run the tests of threaded code under ThreadSanitizer
	@$(CMAKE) -S . -B build-tsan $(SANITIZED) -DLATTICE_SANITIZE=thread
	@cmake --build build-tsan -j $(JOBS) --target threaded_tests
	@$(CTEST) --test-dir build-tsan -L threaded

test-aarch64: ## run the kernels' tests for AArch64 under qemu (packages/debian-aarch64.txt)
	@tools/test_aarch64.sh $(JOBS)

test-avx512: ## run the kernels' tests for AVX-VNNI, AVX-512 and AMX on a processor without them
	@tools/test_avx512.sh $(JOBS)

fuzz: deps ## fuzz every parser for FUZZ_SECONDS seconds, under the same sanitizers
	@tools/run_fuzzers.sh $(FUZZ_SECONDS)

bench-build:
	@$(CMAKE) -S . -B build-bench -DCMAKE_BUILD_TYPE=Release -DLATTICE_BUILD_TESTS=OFF -DLATTICE_BUILD_BENCHMARKS=ON
	@cmake --build build-bench -j $(JOBS) --target bench_kernels gpu_profile lattice_program

bench: deps bench-build ## time every kernel by itself (FILTER=regex)
	@build-bench/bench_kernels $(if $(FILTER),--benchmark_filter='$(FILTER)') --benchmark_min_time=0.05

bench-quick: deps bench-build ## time a few kernels and the shipped model: whether the benchmarks run
	@build-bench/bench_kernels --quick
	@build-bench/lattice bench --prefill 64 --contexts 0,512 --repeats 2 --quiet

bench-gpu: deps bench-build ## time a GPU's kernels one by one (DEVICE=cuda, metal or soft)
	@build-bench/gpu_profile $(if $(filter cpu,$(DEVICE)),,--device $(DEVICE))

bench-all: deps bench-build ## measure kernels and models, and leave the JSON in build-bench/results
	@tools/bench_all.sh build-bench $(DEVICE)

.PHONY: bench-report
bench-report: deps bench-build ## measure a device and write one report that can be sent (DEVICE=metal)
	@cmake --build build-bench -j $(JOBS) --target gpu_probe
	@tools/bench_report.py build-bench --device $(DEVICE) --out build-bench/report-$(DEVICE) $(REPORT_FLAGS)

bench-compare: deps ## compare the speed of two commits (BASE=ref HEAD=ref DEVICE=cpu FILTER=regex)
	@PYTHONPATH=tools python3 -m bench_compare --base '$(BASE)' --head '$(HEAD)' --device '$(DEVICE)' \
	  --filter '$(FILTER)' --out '$(COMPARE_OUT)' $(COMPARE_FLAGS)

format: deps ## format the sources
	@git ls-files -co --exclude-standard '*.h' '*.hpp' '*.cpp' '*.c' | xargs clang-format -i

lint: deps ## check formatting, and look for defects with clang-tidy
	@tools/lint.sh $(JOBS)

install: build ## install the program, the library and the shipped model under PREFIX
	@cmake --install build --prefix $(PREFIX)

clean: ## remove everything that was built
	rm -rf build build-*
