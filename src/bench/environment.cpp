#include "bench/environment.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <sys/utsname.h>

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "build_info.h"
#include "support/thread_pool.h"

namespace lattice::bench {
namespace {

const std::string kUnknown = "unknown";

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) && !line.empty() ? line : kUnknown;
}

/// The value of the first line "key … : value" (or "key: value") of a file.
std::string value_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return kUnknown;
}

#ifdef __APPLE__
std::string cpu_name() {
  char name[256] = {};
  std::size_t size = sizeof name - 1;
  return sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0) == 0 ? name : kUnknown;
}
#else
std::string cpu_name() {
  // x86 kernels write "model name", others a number for the part or the whole machine's name.
  for (const char* key : {"model name", "Model", "CPU part"}) {
    std::string name = value_of("/proc/cpuinfo", key);
    if (name != kUnknown) return name;
  }
  return kUnknown;
}
#endif

std::string system_name() {
  utsname name{};
  if (uname(&name) != 0) return kUnknown;
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

std::optional<std::int64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

}  // namespace

Environment describe_environment() {
  Environment out;
  out.commit = kCommit;
  out.compiler = kCompiler;
  out.flags = kFlags;
  out.cpu = cpu_name();
  out.system = system_name();
  out.processors = usable_processors();
  out.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  double loads[1];
  if (getloadavg(loads, 1) == 1) out.load = loads[0];
  return out;
}

#ifdef __APPLE__
std::optional<std::int64_t> available_memory() {
  std::int64_t bytes = 0;
  std::size_t size = sizeof bytes;
  if (sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0) != 0) return std::nullopt;
  return bytes;
}
#else
std::optional<std::int64_t> available_memory() {
  std::istringstream text(value_of("/proc/meminfo", "MemAvailable"));
  std::int64_t bytes = 0;
  if (!(text >> bytes)) return std::nullopt;
  bytes *= 1024;
  const auto limit = number_in("/sys/fs/cgroup/memory.max");  // holds the word "max" where there is none
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used && *limit - *used < bytes) bytes = *limit - *used;
  return bytes;
}
#endif

}  // namespace lattice::bench
