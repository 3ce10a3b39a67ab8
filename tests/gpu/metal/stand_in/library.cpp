#include "gpu/metal/stand_in/library.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "gpu/metal/stand_in/required_constants.h"
#include "lattice/error.hpp"
#include "msl/parser.h"
#include "support/fnv.h"

namespace lattice::gpu::stand_in {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kArchiveMagic = "stand-in archive 1\n";

std::string words_of(const msl::Module& module) {
  std::string out;
  for (const msl::Token& token : module.tokens) {
    out += token.text;
    out += token.kind == msl::TokenKind::kUnroll ? "#unroll\n" : "\n";
  }
  return out;
}

/// The built-in file that has these very tokens: its kernels are compiled already.
const BuiltInKernels* same_built_in(const msl::Module& module) {
  const std::string words = words_of(module);
  for (const BuiltInKernels& file : built_in_kernels()) {
    const fs::path path =
        fs::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels" / (std::string(file.name) + ".metal");
    if (file.signatures.size() != module.kernels.size() || module.kernels.empty() ||
        file.signatures.front().name != module.kernels.front().name) {
      continue;
    }
    if (words_of(msl::parse_file(path)) == words) return &file;
  }
  return nullptr;
}

CompiledSource& compile(const std::string& text) {
  static std::map<std::string, std::unique_ptr<CompiledSource>> compiled;
  const std::string key = fmt::format("{:016x}", fnv1a(text));
  if (const auto found = compiled.find(key); found != compiled.end()) return *found->second;
  auto out = std::make_unique<CompiledSource>();
  out->key = key;
  out->module = msl::parse_text("program_source", text);
  const BuiltInKernels* file = same_built_in(out->module);
  out->soft = std::make_unique<msl::SoftModule>(file != nullptr ? msl::SoftModule(*file->entry())
                                                                : msl::SoftModule::compile(out->module, {}));
  out->signatures = signatures_of(out->module);
  out->is_built_in = file != nullptr;
  return *(compiled[key] = std::move(out));
}

/// "program_source:17: what" as Apple's compiler says it, which obeys #line.
std::string at_presumed_line(const std::string& text, const std::string& message) {
  constexpr std::string_view kName = "program_source:";
  if (!message.starts_with(kName)) return message;
  std::size_t end = 0;
  const int line = std::stoi(message.substr(kName.size()), &end);
  std::string file = "program_source";
  int presumed = 0;
  std::istringstream in(text);
  std::string row;
  for (int i = 1; i <= line && std::getline(in, row); ++i) {
    ++presumed;
    if (!row.starts_with("#line ")) continue;
    presumed = std::stoi(row.substr(6)) - 1;
    const std::size_t quote = row.find('"');
    file = row.substr(quote + 1, row.rfind('"') - quote - 1);
  }
  return fmt::format("{}:{}:1: error{}", file, presumed, message.substr(kName.size() + end));
}

MTL::DataType declared_type(const CompiledSource& source, std::uint32_t index) {
  for (const msl::ConstantGlobal& constant : source.module.constants) {
    if (constant.function_constant != index) continue;
    return constant.type.find("bool") != std::string::npos ? MTL::DataTypeBool : MTL::DataTypeUInt;
  }
  return MTL::DataTypeNone;
}

}  // namespace

void ConstantValues::set(const void* value, MTL::DataType type, NS::UInteger index) {
  std::size_t bytes = 0;
  if (type == MTL::DataTypeBool) bytes = sizeof(bool);
  if (type == MTL::DataTypeUInt) bytes = sizeof(std::uint32_t);
  if (bytes == 0) return violate("function constant {} is given as type {}", index, fmt::underlying(type));
  Value& out = values[static_cast<std::uint32_t>(index)];
  out.type = type;
  out.bytes.resize(bytes);
  std::memcpy(out.bytes.data(), value, bytes);
}

MTL::Library* GpuDevice::new_library(const NS::String* source, const MTL::CompileOptions* options,
                                     NS::Error** error) {
  auto* text = as<String>(source, "newLibraryWithSource:");
  auto* own = as<CompileOptions>(options, "newLibraryWithSource:options:");
  if (text == nullptr || own == nullptr) return nullptr;
  if (own->version < MTL::LanguageVersion3_1 && text->text.find("bfloat") != std::string::npos) {
    violate("bfloat is used, which MSL 3.1 is the first to have");
  }
  if (own->fast_math) violate("kernels that use infinities are compiled with fast math");
  try {
    CompiledSource& compiled = compile(text->text);
    ++machine().libraries_compiled;
    machine().libraries_from_built_in += compiled.is_built_in ? 1 : 0;
    return to_metal<MTL::Library>(make<Library>(compiled));
  } catch (const lattice::Error& failure) {
    set_error(error, MTL::LibraryErrorCompileFailure, at_presumed_line(text->text, failure.what()));
    return nullptr;
  }
}

MTL::Function* Library::new_function(const NS::String* name, const MTL::FunctionConstantValues* constants,
                                     NS::Error** error) {
  auto* wanted = as<String>(name, "newFunctionWithName:");
  auto* values = as<ConstantValues>(constants, "newFunctionWithName:constantValues:");
  if (wanted == nullptr || values == nullptr) return nullptr;
  const auto signature = std::ranges::find(source_.signatures, wanted->text, &KernelSignature::name);
  if (signature == source_.signatures.end()) {
    set_error(error, MTL::LibraryErrorFunctionNotFound, "there is no function " + wanted->text);
    return nullptr;
  }
  std::vector<msl::ConstantValue> given;
  for (const auto& [index, value] : values->values) {
    const MTL::DataType declared = declared_type(source_, index);
    if (declared == MTL::DataTypeNone) continue;  // Metal takes what a function does not ask for
    if (declared != value.type) {
      set_error(error, MTL::LibraryErrorCompileFailure, fmt::format("constant {} is of another type", index));
      return nullptr;
    }
    given.push_back({index, value.bytes});
  }
  for (const std::uint32_t index : required_constants(source_.module, wanted->text)) {
    if (values->values.contains(index)) continue;
    set_error(error, MTL::LibraryErrorCompileFailure,
              fmt::format("function {} needs a value for constant {}", wanted->text, index));
    return nullptr;
  }
  return to_metal<MTL::Function>(make<Function>(source_, *signature, std::move(given)));
}

std::string Function::key() const {
  std::string out = source.key + ' ' + signature.name;
  for (const msl::ConstantValue& constant : constants) {
    out += fmt::format(" {}=", constant.index);
    for (const std::byte byte : constant.bytes) out += fmt::format("{:02x}", std::to_integer<int>(byte));
  }
  return out;
}

void PipelineDescriptor::set_function(const MTL::Function* metal) {
  function = Strong<Function>(as<Function>(metal, "setComputeFunction:"));
}
void PipelineDescriptor::set_archives(const NS::Array* metal) {
  archives = Strong<Array>(as<Array>(metal, "setBinaryArchives:", /*nil=*/true));
}
void PipelineDescriptor::dealloc() {
  function.reset();
  archives.reset();
}

NS::UInteger Pipeline::most_threads() {
  const std::uint32_t declared = function->signature.max_threads;
  return declared == 0 ? machine().most_threads : std::min(declared, machine().most_threads);
}
void Pipeline::dealloc() {
  if (uses != 0) violate("a pipeline is released while a command buffer that uses it is not done");
  function.reset();
}

MTL::ComputePipelineState* GpuDevice::new_pipeline(const MTL::ComputePipelineDescriptor* metal,
                                                   MTL::PipelineOption options,
                                                   const MTL::AutoreleasedComputePipelineReflection*,
                                                   NS::Error** error) {
  auto* descriptor = as<PipelineDescriptor>(metal, "newComputePipelineStateWithDescriptor:");
  if (descriptor == nullptr) return nullptr;
  if (!descriptor->function) {
    violate("a pipeline is made without a function");
    return nullptr;
  }
  bool found = false;
  if (descriptor->archives) {
    for (const Strong<Object>& element : descriptor->archives->elements) {
      auto* archive = as<Archive>(element.get(), "binaryArchives");
      found |= archive != nullptr && archive->keys.contains(descriptor->function->key());
    }
  }
  if (!found && (options & MTL::PipelineOptionFailOnBinaryArchiveMiss) != 0) {
    set_error(error, MTL::BinaryArchiveErrorUnexpectedElement, "no archive has the function");
    return nullptr;
  }
  if (!found) ++machine().pipelines_compiled;
  return to_metal<MTL::ComputePipelineState>(make<Pipeline>(*descriptor->function.get()));
}

MTL::BinaryArchive* GpuDevice::new_archive(const MTL::BinaryArchiveDescriptor* metal, NS::Error** error) {
  auto* descriptor = as<ArchiveDescriptor>(metal, "newBinaryArchiveWithDescriptor:");
  if (descriptor == nullptr) return nullptr;
  std::set<std::string> keys;
  if (descriptor->file) {
    std::ifstream in(descriptor->file->path, std::ios::binary);
    std::string line;
    if (!std::getline(in, line) || line + '\n' != kArchiveMagic) {
      set_error(error, MTL::BinaryArchiveErrorInvalidFile, "the file is no archive");
      return nullptr;
    }
    while (std::getline(in, line)) keys.insert(line);
  }
  auto* archive = make<Archive>();
  archive->keys = std::move(keys);
  return to_metal<MTL::BinaryArchive>(archive);
}

bool Archive::add(const MTL::ComputePipelineDescriptor* metal, NS::Error** /*error*/) {
  auto* descriptor = as<PipelineDescriptor>(metal, "addComputePipelineFunctionsWithDescriptor:");
  if (descriptor == nullptr || !descriptor->function) return false;
  if (keys.insert(descriptor->function->key()).second) ++machine().pipelines_compiled;
  return true;
}

bool Archive::serialize(const NS::URL* metal, NS::Error** error) {
  auto* url = as<Url>(metal, "serializeToURL:");
  if (url == nullptr) return false;
  std::ofstream out(url->path, std::ios::binary);
  out << kArchiveMagic;
  for (const std::string& key : keys) out << key << '\n';
  out.close();
  if (!out) set_error(error, MTL::BinaryArchiveErrorInternalError, "the file cannot be written");
  return static_cast<bool>(out);
}

void register_metal_library() {
  using SetConstant = void (MTL::FunctionConstantValues::*)(const void*, MTL::DataType, NS::UInteger);
  using NewFunction =
      MTL::Function* (MTL::Library::*)(const NS::String*, const MTL::FunctionConstantValues*, NS::Error**);
  ClassBuilder<CompileOptions>("MTLCompileOptions")
      .allocates()
      .method<&CompileOptions::set_version>("setLanguageVersion:", &MTL::CompileOptions::setLanguageVersion)
      .method<&CompileOptions::set_fast_math>("setFastMathEnabled:",
                                              &MTL::CompileOptions::setFastMathEnabled);
  ClassBuilder<ConstantValues>("MTLFunctionConstantValues")
      .allocates()
      .method<&ConstantValues::set>("setConstantValue:type:atIndex:",
                                    static_cast<SetConstant>(&MTL::FunctionConstantValues::setConstantValue));
  ClassBuilder<Library>("MTLLibrary")
      .method<&Library::new_function>("newFunctionWithName:constantValues:error:",
                                      static_cast<NewFunction>(&MTL::Library::newFunction));
  ClassBuilder<PipelineDescriptor>("MTLComputePipelineDescriptor")
      .allocates()
      .method<&PipelineDescriptor::set_function>("setComputeFunction:",
                                                 &MTL::ComputePipelineDescriptor::setComputeFunction)
      .method<&PipelineDescriptor::set_label>("setLabel:", &MTL::ComputePipelineDescriptor::setLabel)
      .method<&PipelineDescriptor::set_archives>("setBinaryArchives:",
                                                 &MTL::ComputePipelineDescriptor::setBinaryArchives);
  ClassBuilder<Pipeline>("MTLComputePipelineState")
      .method<&Pipeline::most_threads>("maxTotalThreadsPerThreadgroup",
                                       &MTL::ComputePipelineState::maxTotalThreadsPerThreadgroup)
      .method<&Pipeline::simd_width>("threadExecutionWidth",
                                     &MTL::ComputePipelineState::threadExecutionWidth);
  ClassBuilder<ArchiveDescriptor>("MTLBinaryArchiveDescriptor")
      .allocates()
      .method<&ArchiveDescriptor::set_url>("setUrl:", &MTL::BinaryArchiveDescriptor::setUrl);
  ClassBuilder<Archive>("MTLBinaryArchive")
      .method<&Archive::add>("addComputePipelineFunctionsWithDescriptor:error:",
                             &MTL::BinaryArchive::addComputePipelineFunctions)
      .method<&Archive::serialize>("serializeToURL:error:", &MTL::BinaryArchive::serializeToURL);
}

}  // namespace lattice::gpu::stand_in
