# `make run` and `make test` are all that a newcomer needs. `make help` lists the rest.

JOBS    ?= $(shell getconf _NPROCESSORS_ONLN)
PROMPT  ?= Once upon a time
OS      := $(shell uname -s)
CMAKE   := cmake -G Ninja

.DEFAULT_GOAL := help
.PHONY: help deps build run test format lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the build needs and the machine lacks
	@tools/install_deps.sh

build: deps ## build the release program, build/lattice
	@$(CMAKE) -S . -B build -DCMAKE_BUILD_TYPE=Release
	@cmake --build build -j $(JOBS)

clean: ## remove everything that was built
	rm -rf build build-*
