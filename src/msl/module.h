#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "msl/source_set.h"
#include "msl/token.h"

namespace lattice::msl {

/// [begin, end) in Module::tokens.
struct TokenRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

enum class AddressSpace : std::uint8_t { kNone, kDevice, kConstant, kThreadgroup };

enum class ParameterKind : std::uint8_t {
  kBuffer,             ///< `device T*`, `constant T&`, … at [[buffer(index)]]
  kThreadgroupMemory,  ///< `threadgroup T*` at [[threadgroup(index)]], sized by the caller
  kBuiltin,            ///< a position, an index or a size that the dispatch defines
};

/// What a parameter of a kernel is bound to.
struct Parameter {
  std::string name;
  std::string type;  ///< as written, address space included, attributes left out
  ParameterKind kind = ParameterKind::kBuiltin;
  AddressSpace space = AddressSpace::kNone;
  std::uint32_t index = 0;  ///< of a buffer or of threadgroup memory
  std::string builtin;      ///< the attribute's name, for example "thread_position_in_grid"
  bool reference = false;   ///< `T&` and not `T*`
  bool read_only = false;   ///< what it points to is const
  bool optional = false;    ///< [[function_constant(c)]] decides whether it is there
};

/// A `threadgroup` variable in a kernel's body. Several names may share one declaration.
struct ThreadgroupDeclaration {
  struct Name {
    std::size_t token;   ///< of the name
    TokenRange extents;  ///< `[4][32]`, or empty
  };
  TokenRange all;   ///< from the first token of the declaration to past its semicolon
  TokenRange type;  ///< without the address space
  std::vector<Name> names;
  std::string kernel;  ///< the function it stands in
};

/// `constant T name = …;` at namespace scope, and function constants.
struct ConstantGlobal {
  std::string name;
  std::string scope;  ///< the namespaces around it, each with its `::`
  std::string type;   ///< as written
  TokenRange all;     ///< past its semicolon
  TokenRange type_tokens;
  TokenRange extents;      ///< array extents, or empty
  TokenRange initializer;  ///< behind `=`, or the braces; empty where there is none
  std::optional<std::uint32_t> function_constant;
  bool specialized = false;  ///< a function constant, or one whose value follows from some
};

/// A function with the kernel qualifier; of a template, one entry for all of its instances.
struct KernelFunction {
  std::string function;  ///< qualified by its namespaces
  std::vector<Parameter> parameters;
  bool is_template = false;
  std::uint32_t max_threads = 0;  ///< [[max_total_threads_per_threadgroup(n)]], or 0
  std::string host_name;          ///< of an ordinary function
  Token place;
};

/// What can be launched: a kernel function that is no template, or one instance of a template.
struct Kernel {
  std::string name;               ///< by which the host asks for it
  std::size_t function = 0;       ///< in Module::functions
  TokenRange template_arguments;  ///< `<float, 4>`, or empty
  Token place;
};

/// A translation unit's text and structure. The tokens are preprocessed; everything else says what is where.
struct Module {
  std::unique_ptr<SourceSet> sources = std::make_unique<SourceSet>();
  std::string name;  ///< of the main file
  Tokens tokens;
  std::vector<KernelFunction> functions;
  std::vector<Kernel> kernels;
  std::vector<ThreadgroupDeclaration> threadgroup_declarations;
  std::vector<ConstantGlobal> constants;
  std::vector<TokenRange> attributes;      ///< every `[[…]]`
  std::vector<TokenRange> instantiations;  ///< every `template [[host_name("…")]] …;` of a kernel

  /// Throws Error naming those there are, where there is no such kernel.
  [[nodiscard]] const Kernel& kernel(std::string_view name) const;
  [[nodiscard]] const KernelFunction& function_of(const Kernel& kernel) const {
    return functions[kernel.function];
  }
  /// The tokens' text, as a person would write it.
  [[nodiscard]] std::string text(TokenRange range) const;
};

}  // namespace lattice::msl
