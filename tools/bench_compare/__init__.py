"""Compares two builds, or any two commands, by their timings. docs/benchmarks.md explains the method."""
