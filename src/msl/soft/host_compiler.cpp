#include "msl/soft/host_compiler.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include <fmt/format.h>
#include <unistd.h>

#include "msl/emit.h"
#include "msl/soft/process.h"
#include "msl/stdlib_files.h"
#include "support/cache_folder.h"
#include "support/fail.h"
#include "support/fnv.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A name in `directory` that nothing else uses, for what is renamed when it is complete.
fs::path temporary(const fs::path& directory, std::string_view suffix) {
  std::random_device random;
  return directory / fmt::format("tmp-{}-{:08x}{:08x}{}", getpid(), random(), random(), suffix);
}

void write_file(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) fail("{}: cannot be written", path.string());
}

void make_private_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!fs::is_directory(path, error))
    fail("{}: cannot be created as a directory for compiled kernels", path.string());
  fs::permissions(path, fs::perms::owner_all, error);  // what is loaded from here runs in this program
}

/// The standard library's files, written out once for each version of them.
fs::path unpack_stdlib(const fs::path& cache) {
  std::uint64_t state = kFnvOffset;
  for (const StdlibFile& file : stdlib_files()) state = fnv1a(file.text, fnv1a(file.name, state));
  fs::path target = cache / fmt::format("stdlib-{:016x}", state);
  std::error_code error;
  if (fs::is_directory(target, error)) return target;
  const fs::path fresh = temporary(cache, "");
  for (const StdlibFile& file : stdlib_files()) {
    fs::create_directories((fresh / file.name).parent_path());
    write_file(fresh / file.name, file.text);
  }
  fs::rename(fresh, target, error);
  if (error) fs::remove_all(fresh);  // another process was faster
  if (!fs::is_directory(target, error)) fail("{}: cannot be created", target.string());
  return target;
}

std::string find_compiler(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  const char* from_environment = std::getenv("CXX");  // NOLINT(concurrency-mt-unsafe)
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return LATTICE_HOST_COMPILER;
}

/// "g++ (Debian 12.2.0) …": part of the cache's key, and says which of the two families it is.
std::string compiler_version(const std::string& compiler) {
  const ProcessResult result = run_process({compiler, "--version"});
  if (result.status != 0) {
    fail("a C++ compiler is needed to run kernels on this machine, and {} does not start; set CXX to one",
         printable(compiler));
  }
  return result.output.substr(0, result.output.find('\n'));
}

void run_step(const Module& module, const std::vector<std::string>& command) {
  const ProcessResult result = run_process(command);
  if (result.status != 0)
    fail("{}: the host compiler refuses it:\n{}", module.name, result.output.substr(0, 8192));
}

}  // namespace

fs::path default_cache_directory() {
  if (auto folder = cache_folder("msl")) return *std::move(folder);
  return fs::temp_directory_path() / fmt::format("lattice-{}", getuid()) / "msl";
}

std::vector<std::string> soft_compile_options(bool checked, bool clang) {
  // Kernels alias buffers of one type as another; their authors know no strict aliasing. Without contraction
  // every compiler gives the same bits.
  std::vector<std::string> out = {"-std=c++20",        "-fPIC",          "-w", "-fno-strict-aliasing",
                                  "-ffp-contract=off", "-fno-math-errno"};
#ifdef __x86_64__
  // Every processor with AVX2 has F16C, for which Clang 14 cannot ask.
  if (__builtin_cpu_supports("avx2") != 0) out.emplace_back("-mf16c");
#endif
  if (!checked) {
    out.emplace_back("-O2");
    return out;
  }
  for (const char* option : {"-O1", "-g1", "-gdwarf-4", "-fsanitize=thread", "-DLATTICE_MSL_CHECK"})
    out.emplace_back(option);
  if (clang) {
    // Clang leaves out a read that a write to the same place follows; `x += 1` on unset memory must be seen.
    for (const char* option :
         {"-mllvm", "-tsan-instrument-read-before-write=1", "-mllvm", "-tsan-instrument-func-entry-exit=0"}) {
      out.emplace_back(option);
    }
  }
  return out;
}

fs::path compile_soft(const Module& module, const CompileOptions& options) {
  const std::string compiler = find_compiler(options.compiler);
  const std::string version = compiler_version(compiler);
  const fs::path cache =
      options.cache_directory.empty() ? default_cache_directory() : options.cache_directory;
  make_private_directory(cache);
  const fs::path stdlib = unpack_stdlib(cache);
  const std::vector<std::string> flags =
      soft_compile_options(options.checked, version.find("clang") != std::string::npos);

  std::string text = fmt::format("// {} {}\n// {}", compiler, version, stdlib.filename().string());
  for (const std::string& flag : flags) text += ' ' + flag;
  text += '\n' + emit_soft(module);
  const std::string key =
      fmt::format("{:016x}", fnv1a(text));  // a hit is believed only where the whole text is the same
  fs::path object = cache / (key + ".so");
  const fs::path source = cache / (key + ".cpp");
  std::error_code error;
  if (fs::is_regular_file(object, error) && read_file(source) == text) return object;

  const fs::path fresh_source = temporary(cache, ".cpp");
  const fs::path compiled = temporary(cache, ".o");
  const fs::path linked = temporary(cache, ".so");
  write_file(fresh_source, text);
  std::vector<std::string> command = {compiler};
  command.insert(command.end(), flags.begin(), flags.end());
  for (const std::string& argument : {std::string("-I"), stdlib.string(), std::string("-c"),
                                      fresh_source.string(), std::string("-o"), compiled.string()}) {
    command.push_back(argument);
  }
  struct Cleanup {
    std::vector<fs::path> paths;
    ~Cleanup() {
      std::error_code ignored;
      for (const fs::path& path : paths) fs::remove(path, ignored);
    }
  } const cleanup{{fresh_source, compiled, linked}};
  run_step(module, command);
  command = {compiler, "-shared", "-o", linked.string(), compiled.string()};
  if (options.checked) {
    // Two units, of which only the first may be instrumented.
    for (const std::string& argument :
         {std::string("-std=c++20"), std::string("-O2"), std::string("-fno-builtin"),
          std::string("-fno-tree-loop-distribute-patterns"), std::string("-w"), std::string("-fPIC"),
          std::string("-I"), stdlib.string(), (stdlib / "soft" / "check_hooks.cpp").string()}) {
      if (version.find("clang") == std::string::npos || argument != "-fno-tree-loop-distribute-patterns")
        command.push_back(argument);
    }
  }
  command.emplace_back("-lm");
  run_step(module, command);
  fs::rename(fresh_source, source);
  fs::rename(linked, object);
  return object;
}

}  // namespace lattice::msl
