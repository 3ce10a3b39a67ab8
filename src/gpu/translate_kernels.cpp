// Run by the build: translates the kernels for the soft device and for CUDA, and makes them whole for Metal.
//
//   lattice_translate_kernels <folder for the results> <file.metal>...
//
// Writes <name>.cpp for each file, which defines the entry function lattice_kernels_<name>, and
// kernel_files.cpp, which lists them with their text for CUDA and Metal and their kernels' parameters
// (gpu/kernel_table.h).

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "gpu/kernel_table.h"
#include "gpu/metal/inlined_source.h"
#include "msl/emit.h"
#include "msl/parser.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace {

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) fail("{}: cannot be written", path.string());
}

/// A string literal of `text`, one line a line.
std::string literal(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n\"\n\"";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

std::string table_entry(const std::filesystem::path& file, const std::string& entry,
                        const msl::Module& module) {
  std::string out = fmt::format("    {{\"{}\", {},\n{},\n{}, {{\n", file.stem().string(), entry,
                                literal(msl::emit_cuda(module)), literal(metal::inlined_source(file)));
  for (const KernelSignature& kernel : signatures_of(module)) {
    out += fmt::format("        {{\"{}\", {}, {{", kernel.name, kernel.max_threads);
    for (const KernelParameter& parameter : kernel.parameters) {
      out += fmt::format("{{\"{}\", {}, {}, {}, {}, {}}}, ", parameter.name, parameter.place, parameter.index,
                         parameter.writable, parameter.takes_constants, parameter.by_value);
    }
    out += "}},\n";
  }
  return out + "    }},\n";
}

void translate(int count, char** arguments) {
  const std::filesystem::path folder = arguments[1];
  std::string declarations;
  std::string table;
  for (int i = 2; i < count; ++i) {
    const std::filesystem::path file = arguments[i];
    const std::string name = file.stem().string();
    const std::string entry = "lattice_kernels_" + name;
    const msl::Module module = msl::parse_file(file);
    // Each file in a namespace of its own: files may give functions and constants the same names.
    write_file(folder / (name + ".cpp"),
               fmt::format("#define lattice_msl lattice_msl_{}\n", name) + msl::emit_soft(module, entry));
    declarations += fmt::format("extern \"C\" const lattice::soft::ModuleInfo* {}();\n", entry);
    table += table_entry(file, entry, module);
  }
  write_file(folder / "kernel_files.cpp",
             "#include \"gpu/kernel_table.h\"\n\n" + declarations +
                 "\nnamespace lattice::gpu {\n\nconst std::vector<BuiltInKernels>& built_in_kernels() {\n"
                 "  static const std::vector<BuiltInKernels> files = {\n" +
                 table + "  };\n  return files;\n}\n\n}  // namespace lattice::gpu\n");
}

}  // namespace
}  // namespace lattice::gpu

int main(int count, char** arguments) {
  try {
    if (count < 3) lattice::fail_usage("a folder and at least one .metal file are needed");
    lattice::gpu::translate(count, arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lattice_translate_kernels: %s\n", error.what());
    return 1;
  }
}
