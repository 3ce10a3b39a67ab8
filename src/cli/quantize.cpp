#include <array>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/units.h"
#include "convert/convert.h"
#include "formats/checkpoint.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr const char* kQuantizeExamples =
    R"(Reads a model of any format and writes a GGUF file, which llama.cpp and its kin read as well. q8_0 is
half of bf16 and as good; q4_0 is a quarter, and costs some quality: `lattice perplexity` measures how much.

Examples:
  lattice quantize models/Qwen3.5-0.8B qwen-q8_0.gguf
  lattice quantize models/Qwen3.5-0.8B qwen-q4_0.gguf --type q4_0 --head q8_0
  lattice quantize models/tinystories-qwen35 stories.gguf --type f16)";

constexpr std::array kTypes = {DType::kQ8_0, DType::kQ4_0, DType::kBF16, DType::kF16};

struct QuantizeArguments {
  std::filesystem::path model_path;
  std::filesystem::path out;
  ConvertOptions options;
  bool quiet = false;
  bool json = false;
};

DType parse_type(std::string_view flag, const std::string& name) {
  const std::optional<DType> type = dtype_from_name(name);
  if (!type || std::ranges::find(kTypes, *type) == kTypes.end())
    fail_usage("{} takes q8_0, q4_0, bf16 or f16, not {}", flag, printable(name));
  return *type;
}

void quantize(QuantizeArguments& arguments) {
  const std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(model_path(arguments.model_path));
  ProgressBar bar(ProgressUnit::kBytes, arguments.quiet);
  arguments.options.progress = bar.callback();
  const ConvertReport report = convert_to_gguf(*checkpoint, arguments.out, arguments.options);
  bar.finish();
  for (const std::string& warning : report.warnings) print_note("lattice: " + warning);
  std::int64_t before = 0;
  for (const Tensor& tensor : checkpoint->tensors()) before += static_cast<std::int64_t>(tensor.data.size());
  if (arguments.json) {
    print_json({{"file", arguments.out.string()},
                {"tensors", report.tensors},
                {"tensor_bytes", report.tensor_bytes},
                {"source_bytes", before}});
  } else {
    print_out("{}: {} tensors, {} (from {})\n", printable(arguments.out.string(), 200), report.tensors,
              format_bytes(static_cast<double>(report.tensor_bytes)),
              format_bytes(static_cast<double>(before)));
  }
}

}  // namespace

void add_quantize(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("quantize", "Make a model smaller, and so faster, as a GGUF file");
  command->footer(kQuantizeExamples);
  auto arguments = std::make_shared<QuantizeArguments>();
  add_text(*command, "MODEL", arguments->model_path, "", "A model's directory or .gguf file")->required();
  add_text(*command, "OUT", arguments->out, "", "The .gguf file to write")->required();
  command
      ->add_option_function<std::string>(
          "--type",
          [arguments](const std::string& name) { arguments->options.type = parse_type("--type", name); },
          "Of the matrices: q8_0, q4_0, bf16 or f16; without it, q8_0")
      ->type_name("TYPE");
  command
      ->add_option_function<std::string>(
          "--head",
          [arguments](const std::string& name) { arguments->options.head_type = parse_type("--head", name); },
          "Of the output head, which suffers first; without it, as --type")
      ->type_name("TYPE");
  add_integer<int>(*command, "--threads", arguments->options.threads, 1, 1024,
                   "Threads; without it, one for every core");
  command->add_flag("-q,--quiet", arguments->quiet, "Show no progress");
  command->add_flag("--json", arguments->json, "Print what was written as JSON");
  command->callback([arguments] { quantize(*arguments); });
}

}  // namespace lattice::cli
