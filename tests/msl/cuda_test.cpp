// What emit_cuda() writes, and CUDA's metal_stdlib, through NVRTC's compiler. Nothing runs; where there is no
// CUDA toolkit, nothing is compiled.
#include <filesystem>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "msl/emit.h"
#include "msl/parser.h"
#include "msl/stdlib_cases.h"
#include "msl/stdlib_files.h"

namespace lattice::msl {
namespace {

/// NVRTC, loaded where it is installed. (nvrtc.h, declared here, so that the build needs no toolkit.)
class Nvrtc {
 public:
  Nvrtc() {
    for (const char* name :
         {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "/usr/local/cuda/lib64/libnvrtc.so"}) {
      if (library_ == nullptr) library_ = dlopen(name, RTLD_NOW);
    }
  }
  [[nodiscard]] bool there() const { return library_ != nullptr; }

  /// The compiler's messages where it fails, or nothing. It runs in a process of its own: what it leaves
  /// behind when a process ends has crashed LeakSanitizer.
  std::string compile(const std::string& text, const std::vector<std::string>& defines = {}) {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe to the compiler";
    const pid_t child = fork();
    if (child == 0) {
      const std::string log = compile_here(text, defines);
      const bool all = write(ends[1], log.data(), log.size()) == static_cast<ssize_t>(log.size());
      _exit(all ? 0 : 1);
    }
    close(ends[1]);
    std::string log;
    char part[4096];
    for (ssize_t n = 0; (n = read(ends[0], part, sizeof part)) > 0;)
      log.append(part, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
      log += "the compiler did not end well";
    return log;
  }

 private:
  std::string compile_here(const std::string& text, const std::vector<std::string>& defines) {
    std::vector<const char*> names;
    std::vector<const char*> texts;
    std::vector<std::string> kept;
    for (const StdlibFile& file : stdlib_files()) {
      kept.emplace_back(file.name);
      kept.emplace_back(file.text);
    }
    for (std::size_t i = 0; i < kept.size(); i += 2) {
      names.push_back(kept[i].c_str());
      texts.push_back(kept[i + 1].c_str());
    }
    using Program = void*;
    Program program = nullptr;
    function<int(Program*, const char*, const char*, int, const char* const*, const char* const*)>(
        "nvrtcCreateProgram")(&program, text.c_str(), "kernels.cu", static_cast<int>(names.size()),
                              texts.data(), names.data());
    std::vector<std::string> options = cuda_compile_options();
    options.insert(options.end(), defines.begin(), defines.end());
    std::vector<const char*> raw;
    for (const std::string& option : options) raw.push_back(option.c_str());
    std::string log;
    if (function<int(Program, int, const char* const*)>("nvrtcCompileProgram")(
            program, static_cast<int>(raw.size()), raw.data()) != 0) {
      std::size_t size = 0;
      function<int(Program, std::size_t*)>("nvrtcGetProgramLogSize")(program, &size);
      log.resize(size);
      function<int(Program, char*)>("nvrtcGetProgramLog")(program, log.data());
    }
    function<int(Program*)>("nvrtcDestroyProgram")(&program);
    return log;
  }

  template <typename F>
  F* function(const char* name) {
    return reinterpret_cast<F*>(dlsym(library_, name));
  }

  void* library_ = nullptr;
};

class Cuda : public testing::Test {
 protected:
  void SetUp() override {
    if (!nvrtc_.there()) GTEST_SKIP() << "NVRTC is not installed";
  }
  void expect_compiles(const Module& module, const std::vector<std::string>& defines = {}) {
    EXPECT_EQ(nvrtc_.compile(emit_cuda(module), defines).substr(0, 3000), "") << module.name;
  }
  Nvrtc nvrtc_;
};

TEST_F(Cuda, Kernels) {
  for (const char* name : {"vector_add", "reductions", "matmul", "quantised_gemv", "histogram"}) {
    expect_compiles(parse_file(std::string(LATTICE_SOURCE_DIR) + "/tests/data/msl/" + name + ".metal"));
  }
}
/// The engine's own kernels, as a prompt and a decode step specialise them.
TEST_F(Cuda, TheEnginesKernels) {
  const std::vector<std::string> constants = {
      "-DLATTICE_FC_0=4",     "-DLATTICE_FC_1=1",     "-DLATTICE_FC_2=4",  "-DLATTICE_FC_3=2",
      "-DLATTICE_FC_4=1",     "-DLATTICE_FC_5=2",     "-DLATTICE_FC_6=4",  "-DLATTICE_FC_7=8",
      "-DLATTICE_FC_16=64",   "-DLATTICE_FC_17=64",   "-DLATTICE_FC_18=2", "-DLATTICE_FC_19=2",
      "-DLATTICE_RESIDENT=4", "-DLATTICE_THREADS=128"};
  const std::filesystem::path kernels = std::string(LATTICE_SOURCE_DIR) + "/src/gpu/kernels";
  for (const auto& entry : std::filesystem::directory_iterator(kernels)) {
    if (entry.path().extension() == ".metal") expect_compiles(parse_file(entry.path()), constants);
  }
}
TEST_F(Cuda, FunctionConstants) {
  const Module module = parse_file(std::string(LATTICE_SOURCE_DIR) + "/tests/data/msl/attention.metal");
  expect_compiles(module);
  expect_compiles(module, {"-DLATTICE_FC_0=true", "-DLATTICE_FC_1=10"});
}
TEST_F(Cuda, EveryFunction) {
  expect_compiles(parse_text("stdlib.metal", scalar_kernel(scalar_cases())));
}
TEST_F(Cuda, EverySimdgroupFunction) {
  expect_compiles(parse_text("simd.metal", lane_kernel(lane_cases())));
}
TEST_F(Cuda, ReportsWhatDoesNotCompile) {
  EXPECT_NE(nvrtc_.compile(
                emit_cuda(parse_text("broken.metal", "kernel void k(device float* x) { x[0] = missing; }"))),
            "");
}

}  // namespace
}  // namespace lattice::msl
