#include <iterator>

#include <fmt/format.h>

#include "msl/body_writer.h"
#include "msl/builtin.h"
#include "msl/emit.h"

namespace lattice::msl {
namespace {

class SoftEmitter {
 public:
  SoftEmitter(const Module& module, std::string_view entry)
      : module_(module), entry_(entry), writer_(module) {}

  std::string run() {
    for (const ThreadgroupDeclaration& declaration : module_.threadgroup_declarations) share(declaration);
    for (const ConstantGlobal& constant : module_.constants) {
      if (constant.specialized) make_variable(constant);
    }
    std::string out = swizzle_macros(module_);
    out += "#include \"soft/metal_stdlib.h\"\nnamespace lattice_msl {\n";
    out += writer_.write();
    out += "}\n";
    return out + entries();
  }

 private:
  template <typename... Args>
  void add(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
  }

  /// A threadgroup variable becomes a reference to storage that the threadgroup's threads share.
  void share(const ThreadgroupDeclaration& declaration) {
    std::string text;
    const std::string type = writer_.write(declaration.type);
    for (const ThreadgroupDeclaration::Name& name : declaration.names) {
      const std::string_view id = module_.tokens[name.token].text;
      add(text, "typedef {} lattice_type_{}{}; ", type, id, writer_.write(name.extents));
      add(text, "lattice_type_{0}& {0} = target::threadgroup_variable<lattice_type_{0}>({1}); ", id,
          variables_.size());
      variables_.emplace_back(id);
    }
    writer_.replace(declaration.all, text);
  }

  /// A function constant, or one that follows from some, becomes a variable that specialize() sets.
  void make_variable(const ConstantGlobal& constant) {
    const std::string type = bare_type(module_, writer_, constant.type_tokens);
    std::string text = fmt::format("static {} {}{{}};", type, constant.name);
    if (constant.function_constant) {
      add(text, " static bool {} = false;", defined_flag(constant.name));
    } else {
      add(text, " static void lattice_set_{0}() {{ {0} = {1}; }}", constant.name,
          writer_.write(constant.initializer));
    }
    writer_.replace(constant.all, text);
  }

  [[nodiscard]] std::string source_of(const Parameter& parameter) const {
    if (parameter.kind == ParameterKind::kBuffer)
      return fmt::format("{{Source::kBuffer, {}}}", parameter.index);
    if (parameter.kind == ParameterKind::kThreadgroupMemory) {
      return fmt::format("{{Source::kThreadgroupMemory, {}}}", parameter.index);
    }
    const Builtin builtin = *find_builtin(parameter.builtin);
    return builtin.vector ? fmt::format("{{Source::kVector, 0, nullptr, &ThreadState::{}}}", builtin.field)
                          : fmt::format("{{Source::kScalar, 0, &ThreadState::{}}}", builtin.field);
  }

  std::string entries() {
    std::string out = "namespace lattice_msl::soft_entry {\nusing namespace metal;\n";
    std::string table;
    for (std::size_t i = 0; i < module_.kernels.size(); ++i) {
      const Kernel& kernel = module_.kernels[i];
      const KernelFunction& function = module_.function_of(kernel);
      const std::string address =
          fmt::format("&lattice_msl::{}{}", function.function, writer_.write(kernel.template_arguments));
      add(out, "static const Source sources_{}[] = {{", i);
      for (const Parameter& parameter : function.parameters) add(out, "{}, ", source_of(parameter));
      add(out,
          "{{Source::kBuffer}}}};\nstatic void run_{0}(const ThreadState& state) {{ run({1}, state, "
          "sources_{0}); }}\n",
          i, address);
      add(table, "{{\"{}\", run_{}, {}, parameters_of({})}}, ", kernel.name, i, function.parameters.size(),
          address);
    }
    add(out, "static const lattice::soft::KernelInfo kernels[] = {{{}{{}}}};\n", table);
    constants(out);
    add(out, "static const char* const variable_names[] = {{");
    for (const std::string& name : variables_) add(out, "\"{}\", ", name);
    add(out,
        "nullptr}};\nstatic void attach(const lattice::soft::Runtime* runtime) {{ target::runtime = runtime; "
        "}}\n");
    add(out,
        "static const lattice::soft::ModuleInfo info = {{lattice::soft::kAbiVersion, {}, kernels, {}, "
        "constants, "
        "attach, specialize, {}, variable_names}};\n}}\n",
        module_.kernels.size(), constant_count_, variables_.size());
    add(out,
        "extern \"C\" __attribute__((visibility(\"default\"))) const lattice::soft::ModuleInfo* {}() "
        "{{ return &lattice_msl::soft_entry::info; }}\n",
        entry_);
    return out;
  }

  void constants(std::string& out) {
    std::string table;
    std::string setters;
    for (const ConstantGlobal& constant : module_.constants) {
      const std::string scope = "lattice_msl::" + constant.scope;
      if (constant.function_constant) {
        add(table, "{{{0}, sizeof({1}{2}), &{1}{2}, &{1}{3}}}, ", *constant.function_constant, scope,
            constant.name, defined_flag(constant.name));
        ++constant_count_;
      } else if (constant.specialized) {
        add(setters, " {}lattice_set_{}();", scope, constant.name);
      }
    }
    add(out, "static const lattice::soft::FunctionConstantInfo constants[] = {{{}{{}}}};\n", table);
    add(out, "static void specialize() {{{} }}\n", setters);
  }

  const Module& module_;
  std::string_view entry_;
  BodyWriter writer_;
  std::vector<std::string> variables_;
  std::size_t constant_count_ = 0;
};

}  // namespace

std::string emit_soft(const Module& module, std::string_view entry) {
  return SoftEmitter(module, entry).run();
}

}  // namespace lattice::msl
