#!/usr/bin/env bash
# Measures all there is to measure on this machine and leaves JSON in BUILD/results: every kernel, the shipped model, and each
# released shape that memory has room for. Usage: bench_all.sh BUILD [DEVICE]
set -euo pipefail
build=$1
device=${2:-cpu}
results=$build/results
mkdir -p "$results"

# A device that is not there is said at once, not after the kernels.
"$build/lattice" bench --device "$device" --json >"$results/shipped.json"
echo "shipped model: $results/shipped.json"
for shape in 0.8b 2b 4b 9b 27b; do
  for type in q8_0 q4_0 bf16; do
    name=$shape-$type
    # Large shapes with fewer repeats: a prefill of 27b takes minutes on a small machine.
    effort=(--repeats 5 --steps 16)
    [[ $shape == 9b || $shape == 27b ]] && effort=(--repeats 3 --steps 4 --prefill 128)
    if "$build/lattice" bench --device "$device" --shape "$shape" --type "$type" "${effort[@]}" --quiet --json \
      --plot "$results/$name.svg" >"$results/$name.json.part" 2>"$results/$name.error"; then
      mv "$results/$name.json.part" "$results/$name.json"
      rm "$results/$name.error"
      echo "$name: $results/$name.json"
    else
      rm -f "$results/$name.json.part"
      echo "$name: left out: $(tail -n 1 "$results/$name.error")"
    fi
  done
done
if [[ $device == cpu ]]; then
  "$build/bench_kernels" --benchmark_min_time=0.05 --benchmark_out="$results/kernels.json" --benchmark_out_format=json
else
  "$build/gpu_profile" --device "$device" >"$results/kernels.txt"
fi
tar -C "$build" -czf "$results.tar.gz" results
echo "all of it: $results.tar.gz"
