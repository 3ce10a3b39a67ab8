#include "msl/module.h"

#include "support/fail.h"
#include "support/printable.h"

namespace lattice::msl {

const Kernel& Module::kernel(std::string_view wanted) const {
  std::string names;
  for (const Kernel& kernel : kernels) {
    if (kernel.name == wanted) return kernel;
    if (names.size() < 400) names += (names.empty() ? "" : ", ") + kernel.name;
  }
  if (names.empty()) fail("{}: there is no kernel in this file", name);
  fail("{}: there is no kernel {}; it has {}", name, printable(wanted), names);
}

std::string Module::text(TokenRange range) const {
  std::string out;
  for (std::size_t i = range.begin; i < range.end; ++i) {
    if (i != range.begin && (tokens[i].space_before || tokens[i].first_on_line)) out += ' ';
    out += tokens[i].text;
  }
  return out;
}

}  // namespace lattice::msl
