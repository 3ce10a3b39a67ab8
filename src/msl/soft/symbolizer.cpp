#include "msl/soft/symbolizer.h"

#include <cstdint>

#include <dlfcn.h>
#include <fmt/format.h>

#include "msl/soft/process.h"

namespace lattice::msl {

std::string Symbolizer::place(const void* code) const {
  Dl_info info;
  if (object_.empty() || dladdr(code, &info) == 0) return {};
  // The return address lies behind the call.
  const std::uint64_t offset =
      reinterpret_cast<std::uint64_t>(code) - reinterpret_cast<std::uint64_t>(info.dli_fbase) - 1;
  const ProcessResult result =
      run_process({"addr2line", "-i", "-e", object_.string(), fmt::format("0x{:x}", offset)});
  if (result.status != 0) return {};
  // One line for each function inlined into the next, innermost first.
  for (std::size_t begin = 0; begin < result.output.size();) {
    const std::size_t end = std::min(result.output.find('\n', begin), result.output.size());
    std::string line = result.output.substr(begin, end - begin);
    begin = end + 1;
    line = line.substr(0, line.find(" (discriminator"));
    const bool own = line.find("/stdlib-") != std::string::npos || line.starts_with("??") ||
                     line.ends_with(":?") || line.ends_with(":0");
    if (own) continue;
    // The compiler made a relative name absolute; messages name files as the user did.
    const std::string working = std::filesystem::current_path().string() + '/';
    return line.starts_with(working) ? line.substr(working.size()) : line;
  }
  return {};
}

}  // namespace lattice::msl
