// Asks a GPU what only the hardware can tell. One question a run prints the answer, and the knob that it
// sets:
//
//   gpu_probe QUESTION|all [metal|cuda|soft] [quick]
//
// `quick` asks with small sizes, to see that it works: the figures mean nothing.

#include <algorithm>
#include <cstdio>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "probe.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::gpu {
namespace {

int run(std::span<const std::string_view> words) {
  if (words.empty() || words[0] == "--help") {
    fmt::print("gpu_probe QUESTION|all [metal|cuda|soft] [quick]\n\n");
    for (const Question& question : questions()) {
      fmt::print("{:10} {}\n           sets {}\n", question.name, question.asks, question.knob);
    }
    return words.empty() ? 2 : 0;
  }
  std::string_view device = default_device();
  Probe probe;
  for (const std::string_view word : words.subspan(1)) {
    if (word == "quick") {
      probe.quick = true;
    } else {
      device = word;
    }
  }
  const bool known = words[0] == "all" ||
                     std::ranges::any_of(questions(), [&](const Question& q) { return q.name == words[0]; });
  if (!known) fail_usage("{} is no question; --help lists them", printable(words[0]));
  probe.open = [device] { return open_device(device); };
  probe.device = probe.open();
  fmt::print("device: {}\n", probe.device->description());
  for (const Question& question : questions()) {
    if (words[0] != "all" && words[0] != question.name) continue;
    fmt::print("\n{}: {}\n", question.name, question.asks);
    question.answer(probe);
    fmt::print("sets: {}\n", question.knob);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace lattice::gpu

int main(int count, char** arguments) {
  return lattice::gpu::run_tool("gpu_probe", [&] {
    return lattice::gpu::run(std::vector<std::string_view>(arguments + 1, arguments + count));
  });
}
