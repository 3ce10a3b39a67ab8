#include "gpu/metal/inlined_source.h"

#include <fstream>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "support/fail.h"

namespace lattice::gpu::metal {
namespace {

namespace fs = std::filesystem;

/// The name in `#include "name"`; empty for any other line.
std::string_view included_header(std::string_view line) {
  constexpr std::string_view kInclude = "#include \"";
  if (!line.starts_with(kInclude)) return {};
  line.remove_prefix(kInclude.size());
  return line.substr(0, line.find('"'));
}

void append(const fs::path& file, std::set<fs::path>& seen, std::string& out) {
  std::ifstream in(file);
  const std::string name = file.filename().string();
  out += fmt::format("#line 1 \"{}\"\n", name);
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    const std::string_view header = included_header(line);
    if (header.empty()) {
      // Once is all that anything is included, and the file is no header to the compiler.
      out += line.starts_with("#pragma once") ? "\n" : line + '\n';
      continue;
    }
    const fs::path path = file.parent_path() / header;
    if (!seen.insert(path).second) {
      out += '\n';
      continue;
    }
    append(path, seen, out);
    out += fmt::format("#line {} \"{}\"\n", number + 1, name);
  }
  if (!in.eof()) fail("{}: cannot be read", file.string());
}

}  // namespace

std::string inlined_source(const fs::path& file) {
  std::string out;
  std::set<fs::path> seen;
  append(file, seen, out);
  return out;
}

}  // namespace lattice::gpu::metal
