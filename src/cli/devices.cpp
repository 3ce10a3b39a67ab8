#include <memory>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/units.h"
#include "cpu/cpu_backend.h"
#include "lattice/model.hpp"
#include "support/thread_pool.h"

namespace lattice::cli {
namespace {

constexpr const char* kDevicesExamples =
    R"(The first device is the one that --device auto takes. LATTICE_ISA=NAME in the environment forces a lower
instruction set than the best. Memory's bandwidth sets the pace of decoding, so it is measured, not looked up.

Examples:
  lattice devices
  lattice devices --json
  LATTICE_ISA=scalar lattice run "Once upon a time")";

std::int64_t memory_bytes() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

void show_devices(bool json) {
  const std::vector<Device> all = devices();
  std::vector<std::string> isas;
  for (const Isa isa : available_isas()) isas.emplace_back(isa_name(isa));
  const int threads = usable_processors();
  const std::optional<double> bandwidth = measured_bandwidth(threads);

  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Device& device : all) {
      list.push_back({{"name", device.name}, {"description", device.description}});
    }
    nlohmann::ordered_json absent = nlohmann::ordered_json::array();
    for (const Device& device : absent_devices()) {
      absent.push_back({{"name", device.name}, {"reason", device.description}});
    }
    nlohmann::ordered_json out = {{"devices", std::move(list)},
                                  {"absent", std::move(absent)},
                                  {"instruction_sets", isas},
                                  {"threads", threads},
                                  {"memory_bytes", memory_bytes()}};
    out["read_bytes_per_second"] = bandwidth ? nlohmann::ordered_json(*bandwidth) : nullptr;
    print_json(out);
    return;
  }
  Table names({{"device"}, {"what it is"}});
  for (const Device& device : all) names.add({device.name, device.description});
  names.print();
  for (const Device& device : absent_devices()) {
    print_out("{}: not here: {}\n", device.name, device.description);
  }
  print_text("\n");
  Table machine({{""}, {""}});
  machine.add({"instruction sets", fmt::format("{}", fmt::join(isas, ", "))});
  machine.add({"threads", fmt::format("{}", threads)});
  machine.add({"memory", format_bytes(static_cast<double>(memory_bytes()))});
  machine.add({"read bandwidth", bandwidth ? format_bytes(*bandwidth) + "/s, measured now" : "not measured"});
  machine.print();
}

}  // namespace

void add_devices(CLI::App& program) {
  CLI::App* command = program.add_subcommand("devices", "List what this machine can compute on");
  command->footer(kDevicesExamples);
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON");
  command->callback([json] { show_devices(*json); });
}

}  // namespace lattice::cli
