#include "gpu/cuda/kernel_compiler.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "gpu/cuda/shared_library.h"
#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "msl/emit.h"
#include "msl/stdlib_files.h"
#include "support/fail.h"
#include "support/fnv.h"

namespace lattice::gpu::cuda {

using Program = void*;

/// The functions of libnvrtc.
struct Nvrtc {
  int (*version)(int* major, int* minor);
  const char* (*error_string)(int);
  int (*create)(Program*, const char* source, const char* name, int headers, const char* const* texts,
                const char* const* names);
  int (*compile)(Program, int options, const char* const*);
  int (*destroy)(Program*);
  int (*log_size)(Program, std::size_t*);
  int (*log)(Program, char*);
  int (*ptx_size)(Program, std::size_t*);
  int (*ptx)(Program, char*);
  int (*cubin_size)(Program, std::size_t*);
  int (*cubin)(Program, char*);
  int (*architecture_count)(int*);
  int (*architectures)(int*);
};

namespace {

constexpr int kOldestMajor = 12;  // C++20

struct NvrtcOrReason {
  std::optional<Nvrtc> nvrtc;
  std::string reason;
};

std::vector<std::string> library_names() {
  std::vector<std::string> names = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* home = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing here sets any
    if (home != nullptr) names.push_back(fmt::format("{}/lib64/libnvrtc.so", home));
  }
  names.emplace_back("/usr/local/cuda/lib64/libnvrtc.so");
  return names;
}

NvrtcOrReason open_nvrtc() {
  NvrtcOrReason out;
  const std::vector<std::string> names = library_names();
  const SharedLibrary library(names);
  if (!library.is_open()) {
    out.reason =
        "libnvrtc.so was not found: install NVIDIA's CUDA toolkit or its package libnvrtc, version 12 or "
        "later";
    return out;
  }
  Nvrtc nvrtc{};
  bool complete = true;
  const auto load = [&](auto& function, const char* name) {
    library.load(function, name);
    complete &= function != nullptr;
  };
  load(nvrtc.version, "nvrtcVersion");
  load(nvrtc.error_string, "nvrtcGetErrorString");
  load(nvrtc.create, "nvrtcCreateProgram");
  load(nvrtc.compile, "nvrtcCompileProgram");
  load(nvrtc.destroy, "nvrtcDestroyProgram");
  load(nvrtc.log_size, "nvrtcGetProgramLogSize");
  load(nvrtc.log, "nvrtcGetProgramLog");
  load(nvrtc.ptx_size, "nvrtcGetPTXSize");
  load(nvrtc.ptx, "nvrtcGetPTX");
  load(nvrtc.cubin_size, "nvrtcGetCUBINSize");
  load(nvrtc.cubin, "nvrtcGetCUBIN");
  load(nvrtc.architecture_count, "nvrtcGetNumSupportedArchs");
  load(nvrtc.architectures, "nvrtcGetSupportedArchs");
  int major = 0;
  int minor = 0;
  if (nvrtc.version != nullptr) (void)nvrtc.version(&major, &minor);
  if (!complete || major < kOldestMajor) {
    out.reason = fmt::format("libnvrtc.so is of version {}.{}, and {} is the oldest that serves", major,
                             minor, kOldestMajor);
    return out;
  }
  out.nvrtc = nvrtc;
  return out;
}

const NvrtcOrReason& nvrtc_or_reason() {
  static const NvrtcOrReason opened = open_nvrtc();
  return opened;
}

/// A program in NVRTC's hands.
class Compilation {
 public:
  Compilation(const Nvrtc& nvrtc, const std::string& text) : nvrtc_(nvrtc) {
    std::vector<const char*> names;
    std::vector<const char*> texts;
    std::vector<std::string> kept;
    for (const msl::StdlibFile& file : msl::stdlib_files()) {
      kept.emplace_back(file.name);
      kept.emplace_back(file.text);
    }
    for (std::size_t i = 0; i < kept.size(); i += 2) {
      names.push_back(kept[i].c_str());
      texts.push_back(kept[i + 1].c_str());
    }
    check(nvrtc.create(&program_, text.c_str(), "kernels.cu", static_cast<int>(names.size()), texts.data(),
                       names.data()));
  }
  ~Compilation() { (void)nvrtc_.destroy(&program_); }
  Compilation(const Compilation&) = delete;
  Compilation& operator=(const Compilation&) = delete;

  void run(std::span<const std::string> options) {
    std::vector<const char*> raw;
    for (const std::string& option : options) raw.push_back(option.c_str());
    if (nvrtc_.compile(program_, static_cast<int>(raw.size()), raw.data()) == 0) return;
    constexpr std::size_t kLongestMessage = 2000;
    fail("cuda: a kernel does not compile: {}", take(nvrtc_.log_size, nvrtc_.log).substr(0, kLongestMessage));
  }
  [[nodiscard]] std::string ptx() const { return take(nvrtc_.ptx_size, nvrtc_.ptx); }
  [[nodiscard]] std::string cubin() const { return take(nvrtc_.cubin_size, nvrtc_.cubin); }

 private:
  std::string take(int (*size)(Program, std::size_t*), int (*text)(Program, char*)) const {
    std::size_t bytes = 0;
    check(size(program_, &bytes));
    std::string out(bytes, '\0');
    check(text(program_, out.data()));
    return out;
  }
  void check(int result) const {
    if (result != 0) fail("cuda: NVRTC failed: {}", nvrtc_.error_string(result));
  }

  const Nvrtc& nvrtc_;
  Program program_ = nullptr;
};

const Nvrtc& require_nvrtc() {
  if (!nvrtc_absence().empty()) fail("cuda: {}", nvrtc_absence());
  return *nvrtc_or_reason().nvrtc;
}

/// 0 where it is not among them.
std::uint32_t value_of(std::span<const FunctionConstant> constants, std::uint32_t index) {
  const auto found = std::ranges::find(constants, index, &FunctionConstant::index);
  return found == constants.end() ? 0 : found->value;
}

/// Changes with every file that kernels include.
std::uint64_t stdlib_hash() {
  static const std::uint64_t hash = [] {
    std::uint64_t out = kFnvOffset;
    for (const msl::StdlibFile& file : msl::stdlib_files()) out = fnv1a(file.text, out);
    return out;
  }();
  return hash;
}

}  // namespace

const std::string& nvrtc_absence() {
  return nvrtc_or_reason().reason;
}

KernelCompiler::KernelCompiler(Capability capability, int driver_version, CubinCache cache)
    : nvrtc_(require_nvrtc()), cache_(std::move(cache)) {
  int count = 0;
  (void)nvrtc_.architecture_count(&count);
  std::vector<int> known(static_cast<std::size_t>(count));
  (void)nvrtc_.architectures(known.data());
  const int own = capability.major * 10 + capability.minor;
  native_ = std::ranges::find(known, own) != known.end();
  int nearest = 0;
  for (const int architecture : known) {
    if (architecture <= own) nearest = std::max(nearest, architecture);
  }
  architecture_ = fmt::format("--gpu-architecture={}_{}", native_ ? "sm" : "compute", nearest);
  int major = 0;
  int minor = 0;
  (void)nvrtc_.version(&major, &minor);
  versions_ = fmt::format("NVRTC {}.{}, driver {}", major, minor, driver_version);
}

std::string KernelCompiler::key_of(const KernelSource& source, std::span<const std::string> options) const {
  std::string key = fmt::format("{}, library {:016x}\n", versions_, stdlib_hash());
  for (const std::string& option : options) key += option + '\n';
  return key += source.file;
}

CompiledKernel KernelCompiler::compile(const KernelSource& source) const {
  std::vector<std::string> options = msl::cuda_compile_options();
  std::erase_if(options, [](const std::string& option) { return option.starts_with("--gpu-architecture="); });
  options.push_back(architecture_);
  options.emplace_back("-DLATTICE_WHOLE_THREADGROUPS");
  options.emplace_back("--prec-div=false");  // as Metal's compiler has it by default
  options.push_back(fmt::format("-DLATTICE_KERNEL={}", source.kernel));
  for (const FunctionConstant& constant : source.constants) {
    options.push_back(fmt::format("-DLATTICE_FC_{}={}u", constant.index, constant.value));
  }
  if (value_of(source.constants, LATTICE_FC_RESIDENT) != 0) {
    options.push_back(fmt::format("-DLATTICE_RESIDENT={}", value_of(source.constants, LATTICE_FC_RESIDENT)));
    options.push_back(
        fmt::format("-DLATTICE_THREADS={}", value_of(source.constants, LATTICE_FC_SIMDGROUPS) * kSimdWidth));
  }
  const std::string key = key_of(source, options);
  // Before the image stands a byte that says whether it waits.
  if (std::optional<std::string> kept = cache_.find(key); kept && !kept->empty()) {
    return {kept->substr(1), kept->front() != 0, true};
  }
  Compilation compilation(nvrtc_, std::string(source.file));
  compilation.run(options);
  const std::string ptx = compilation.ptx();
  CompiledKernel out;
  out.waits = ptx.find("griddepcontrol.wait") != std::string::npos;
  out.image = native_ ? compilation.cubin() : ptx;
  out.image += '\0';
  cache_.store(key, char(out.waits ? 1 : 0) + out.image);
  return out;
}

}  // namespace lattice::gpu::cuda
