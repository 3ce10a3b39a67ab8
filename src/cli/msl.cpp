#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/msl_bindings.h"
#include "cli/msl_cuda.h"
#include "cli/output.h"
#include "msl/parser.h"
#include "msl/reflect.h"
#include "msl/soft/soft_module.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr const char* kMslExamples =
    R"(Metal kernels on any machine that has a C++ compiler: no Mac and no GPU. `run` executes the file as a program of
this machine, with all your rights: run only kernels that you trust.

Examples:
  lattice msl check kernels/*.metal
  lattice msl reflect softmax.metal
  lattice msl run add.metal --kernel add --grid 1024 --threadgroup 256 \
      --buffer 0=a.npy --buffer 1=b.npy --buffer 2=out:f32[1024] --check)";

constexpr const char* kRunHelp =
    R"(A buffer is INDEX=FILE.npy, INDEX=inout:FILE.npy, INDEX=out:TYPE[N,…] (zeros), or INDEX=TYPE:VALUE,… for the
small ones. TYPE is f32, f16, bf16, i8 to i64, u8 to u64 or bool. What is out or inout is written to
buffer<INDEX>.npy afterwards (bf16 as float32). With --check the exit status is 1 where something was found.

Examples:
  lattice msl run softmax.metal --kernel softmax --threadgroups 8 --threadgroup 128 \
      --buffer 0=x.npy --buffer 1=out:f16[8,1000] --buffer 2=i64:1000 --threadgroup-memory 0=128 --check
  lattice msl run gemm.metal --kernel gemm --constant 0=true --grid 256,4 --threadgroup 32,1 --buffer …
  lattice msl run add.metal --kernel add --grid 1048576 --threadgroup 256 --buffer … --device cuda --time)";

struct SourceArguments {
  std::vector<std::string> include_directories;
  std::vector<std::string> defines;

  void add_to(CLI::App& command) {
    command.add_option("-I,--include", include_directories, "Look here for files that are included")
        ->type_name("DIR");
    command.add_option("-D,--define", defines, "Define a macro")->type_name("NAME[=TEXT]");
  }
  [[nodiscard]] msl::PreprocessorOptions options() const {
    msl::PreprocessorOptions out;
    for (const std::string& directory : include_directories) out.include_directories.emplace_back(directory);
    for (const std::string& define : defines) {
      const std::size_t equals = define.find('=');
      const std::string name = define.substr(0, equals);
      if (name.empty()) fail_usage("--define needs a name");
      out.defines[name] = equals == std::string::npos ? "1" : define.substr(equals + 1);
    }
    return out;
  }
};

struct CheckArguments {
  SourceArguments source;
  std::vector<std::string> files;
};

void check(const CheckArguments& arguments) {
  std::size_t refused = 0;
  for (const std::string& file : arguments.files) {
    try {
      const msl::Module module = msl::parse_file(file, arguments.source.options());
      (void)msl::compile_soft(module, {});
      print_out("{}: {} kernel{}\n", printable(file), module.kernels.size(),
                module.kernels.size() == 1 ? "" : "s");
    } catch (const Error& error) {
      if (error.kind() == Error::Kind::kUsage) throw;
      print_out("{}\n", error.what());
      ++refused;
    }
  }
  flush_output();
  if (refused != 0) fail("{} of {} files cannot be translated", refused, arguments.files.size());
}

struct RunArguments {
  SourceArguments source;
  std::string file;
  std::string kernel;
  std::string grid;
  std::string threadgroups;
  std::string threadgroup = "1";
  std::vector<std::string> buffers;
  std::vector<std::string> constants;
  std::vector<std::string> threadgroup_memory;
  std::string output = ".";
  bool check = false;
  bool json = false;
  int orders = 3;
  std::string device = "soft";
  bool time = false;
  int replays = 20;

  void validate() const {
    if (check && device != "soft")
      fail_usage("--check looks at what the soft device does: leave --device out");
    if (time && device != "cuda")
      fail_usage("--time needs --device cuda: what the soft device takes says nothing of a GPU");
  }
};

/// What a run came to.
struct Outcome {
  std::vector<msl::Finding> findings;
  std::optional<KernelTimes> times;
};

msl::Grid grid_of(const RunArguments& arguments) {
  if (arguments.grid.empty() == arguments.threadgroups.empty())
    fail_usage("--grid (threads) or --threadgroups is needed, and not both");
  msl::Grid out;
  out.threadgroup = parse_size("--threadgroup", arguments.threadgroup);
  if (!arguments.grid.empty()) {
    out.threads = parse_size("--grid", arguments.grid);
  } else {
    const msl::Size3 groups = parse_size("--threadgroups", arguments.threadgroups);
    for (std::size_t i = 0; i < 3; ++i) {
      if (std::uint64_t{groups[i]} * out.threadgroup[i] > 0xffffffffu)
        fail_usage("the grid has more than 2^32 − 1 threads one way");
      out.threads[i] = groups[i] * out.threadgroup[i];
    }
  }
  msl::validate(out);
  return out;
}

/// What the launch binds, against what the kernel asks for.
void match(const msl::KernelFunction& function, const soft::KernelInfo& info,
           const std::vector<KernelBuffer>& buffers, const msl::Launch& launch) {
  for (const KernelBuffer& buffer : buffers) {
    const bool wanted = std::any_of(
        function.parameters.begin(), function.parameters.end(), [&](const msl::Parameter& parameter) {
          return parameter.kind == msl::ParameterKind::kBuffer && parameter.index == buffer.index;
        });
    if (!wanted) fail_usage("--buffer {}: the kernel has no such buffer", buffer.index);
  }
  for (std::size_t i = 0; i < function.parameters.size(); ++i) {
    const msl::Parameter& parameter = function.parameters[i];
    if (parameter.kind == msl::ParameterKind::kThreadgroupMemory &&
        launch.threadgroup_bytes[parameter.index] == 0) {
      fail_usage("the kernel needs --threadgroup-memory {}=BYTES for {}", parameter.index, parameter.name);
    }
    if (parameter.kind != msl::ParameterKind::kBuffer) continue;
    const auto found = std::find_if(buffers.begin(), buffers.end(),
                                    [&](const KernelBuffer& b) { return b.index == parameter.index; });
    if (found == buffers.end()) {
      if (parameter.optional) continue;
      fail_usage("the kernel needs --buffer {}=… for {} {}", parameter.index, parameter.type, parameter.name);
    }
    if (found->data.size() < info.parameters[i].element_bytes) {
      fail_usage("--buffer {}: {} has {} bytes, and one {} has {}", parameter.index, parameter.name,
                 found->data.size(), parameter.type, info.parameters[i].element_bytes);
    }
  }
}

std::vector<msl::BoundBuffer> bound_for_check(const msl::KernelFunction& function,
                                              const soft::KernelInfo& info,
                                              std::vector<KernelBuffer>& buffers) {
  std::vector<msl::BoundBuffer> out;
  for (KernelBuffer& buffer : buffers) {
    msl::BoundBuffer bound;
    bound.index = buffer.index;
    bound.data = buffer.data;
    for (std::size_t i = 0; i < function.parameters.size(); ++i) {
      const msl::Parameter& parameter = function.parameters[i];
      if (parameter.kind != msl::ParameterKind::kBuffer || parameter.index != buffer.index) continue;
      bound.name = fmt::format("buffer {} ({})", parameter.index, parameter.name);
      bound.element_bytes = info.parameters[i].element_bytes;
    }
    out.push_back(std::move(bound));
  }
  return out;
}

nlohmann::ordered_json to_json(const msl::Finding& finding) {
  return {
      {"kind", msl::name_of(finding.kind)}, {"kernel", finding.kernel}, {"place", finding.place},
      {"object", finding.object},           {"index", finding.index},   {"threadgroup", finding.threadgroup},
      {"thread", finding.thread},           {"detail", finding.detail}, {"count", finding.count}};
}

Outcome execute(const RunArguments& arguments, const msl::Module& module, msl::Launch& launch,
                std::vector<KernelBuffer>& buffers) {
  std::vector<msl::ConstantValue> constants;
  for (const std::string& text : arguments.constants) constants.push_back(parse_constant(module, text));
  msl::CompileOptions options;
  options.checked = arguments.check;
  msl::SoftModule compiled = msl::SoftModule::compile(module, options);
  compiled.specialize(constants);
  const soft::KernelInfo& info = compiled.kernel(arguments.kernel);
  const msl::KernelFunction& function = module.function_of(module.kernel(arguments.kernel));
  launch.kernel = &info;
  match(function, info, buffers, launch);
  Outcome out;
  if (arguments.device == "cuda") {
    out.times = run_on_cuda(module, arguments.kernel, launch, constants, buffers,
                            arguments.time ? arguments.replays : 0);
  } else if (arguments.check) {
    out.findings = compiled.check(launch, bound_for_check(function, info, buffers), arguments.orders);
  } else {
    for (KernelBuffer& buffer : buffers) launch.buffers[buffer.index] = buffer.data.data();
    ThreadPool pool(usable_processors());
    compiled.dispatch(launch, pool);
  }
  return out;
}

/// The files that were written.
std::vector<std::string> write_results(const RunArguments& arguments,
                                       const std::vector<KernelBuffer>& buffers) {
  std::vector<std::string> out;
  for (const KernelBuffer& buffer : buffers) {
    if (!buffer.written) continue;
    const std::filesystem::path path =
        std::filesystem::path(arguments.output) / fmt::format("buffer{}.npy", buffer.index);
    write_buffer(path, buffer);
    out.push_back(path.string());
    if (!arguments.json) print_out("{}: {}\n", path.string(), describe(buffer));
  }
  return out;
}

void run(const RunArguments& arguments) {
  arguments.validate();
  const msl::Module module = msl::parse_file(arguments.file, arguments.source.options());
  const msl::KernelFunction& function = module.function_of(module.kernel(arguments.kernel));
  msl::Launch launch;
  launch.grid = grid_of(arguments);
  if (function.max_threads != 0 && msl::volume(launch.grid.threadgroup) > function.max_threads) {
    fail_usage("--threadgroup: the kernel takes at most {} threads", function.max_threads);
  }
  for (const std::string& text : arguments.threadgroup_memory) {
    const auto [index, bytes] = parse_threadgroup_memory(text);
    launch.threadgroup_bytes[index] = bytes;
  }
  std::vector<KernelBuffer> buffers;
  for (const std::string& text : arguments.buffers) buffers.push_back(parse_buffer(text));

  const Outcome outcome = execute(arguments, module, launch, buffers);
  const std::vector<std::string> written = write_results(arguments, buffers);
  const std::vector<msl::Finding>& findings = outcome.findings;
  if (arguments.json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const msl::Finding& finding : findings) list.push_back(to_json(finding));
    nlohmann::ordered_json json = {{"written", written}, {"findings", std::move(list)}};
    if (outcome.times) json["time"] = times_json(*outcome.times);
    print_json(json);
  } else {
    for (const msl::Finding& finding : findings) print_out("{}\n", finding.message());
    if (arguments.check && findings.empty()) print_out("nothing found in {} orders\n", arguments.orders);
    if (outcome.times) print_out("{}: {}\n", arguments.kernel, times_line(*outcome.times));
  }
  flush_output();
  if (!findings.empty())
    fail("{} finding{} in kernel {}", findings.size(), findings.size() == 1 ? "" : "s", arguments.kernel);
}

void add_check(CLI::App& group) {
  CLI::App* command = group.add_subcommand("check", "Translate and compile files, and say what cannot be");
  auto arguments = std::make_shared<CheckArguments>();
  command->add_option("FILE", arguments->files, "Files of Metal kernels")->required();
  arguments->source.add_to(*command);
  command->callback([arguments] { check(*arguments); });
}

void add_reflect(CLI::App& group) {
  CLI::App* command =
      group.add_subcommand("reflect", "Print kernels, their parameters and function constants as JSON");
  auto arguments = std::make_shared<CheckArguments>();
  command->add_option("FILE", arguments->files, "A file of Metal kernels")->required()->expected(1);
  arguments->source.add_to(*command);
  command->callback([arguments] {
    print_out("{}\n",
              msl::reflect_json(msl::parse_file(arguments->files.front(), arguments->source.options())));
  });
}

void add_run_kernel(CLI::App& group) {
  CLI::App* command = group.add_subcommand("run", "Run one kernel on the processor, over .npy files");
  command->footer(kRunHelp);
  auto arguments = std::make_shared<RunArguments>();
  command->add_option("FILE", arguments->file, "A file of Metal kernels")->required();
  arguments->source.add_to(*command);
  command->add_option("--kernel", arguments->kernel, "Which kernel")->required()->type_name("NAME");
  command->add_option("--grid", arguments->grid, "The grid's size in threads")->type_name("X[,Y[,Z]]");
  command
      ->add_option("--threadgroups", arguments->threadgroups,
                   "The grid's size in threadgroups, in place of --grid")
      ->type_name("X[,Y[,Z]]");
  command->add_option("--threadgroup", arguments->threadgroup, "Threads of a threadgroup")
      ->type_name("X[,Y[,Z]]");
  command->add_option("--buffer", arguments->buffers, "A buffer, see below")
      ->type_name("INDEX=WHAT")
      ->allow_extra_args(false);
  command->add_option("--constant", arguments->constants, "A function constant's value")
      ->type_name("INDEX=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--threadgroup-memory", arguments->threadgroup_memory,
                   "The size of a [[threadgroup(n)]] parameter")
      ->type_name("INDEX=BYTES")
      ->allow_extra_args(false);
  command->add_option("--output", arguments->output, "Where to write results")->type_name("DIR");
  command->add_flag("--check", arguments->check,
                    "Look for accesses out of bounds, races, divergence and dependence on order");
  add_integer(*command, "--orders", arguments->orders, 1, 1000,
              "With --check: in how many orders of threads to run");
  command
      ->add_option("--device", arguments->device,
                   "Where to run: soft, on this processor, or cuda, translated and compiled by NVRTC")
      ->check(CLI::IsMember({"soft", "cuda"}))
      ->type_name("soft|cuda");
  command->add_flag(
      "--time", arguments->time,
      "With --device cuda: time the kernel too, over copies of its buffers that no cache holds");
  add_integer(*command, "--replays", arguments->replays, 1, 100000, "With --time: how often to measure");
  command->add_flag("--json", arguments->json, "Print JSON: {\"written\",\"findings\",\"time\"}");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace

void add_msl(CLI::App& program) {
  CLI::App* command = program.add_subcommand("msl", "Check, reflect and run Metal kernels on this machine");
  command->footer(kMslExamples);
  command->require_subcommand(1);
  add_check(*command);
  add_reflect(*command);
  add_run_kernel(*command);
}

}  // namespace lattice::cli
