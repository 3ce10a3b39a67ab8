#include <iterator>

#include <fmt/format.h>

#include "msl/body_writer.h"
#include "msl/builtin.h"
#include "msl/emit.h"

namespace lattice::msl {
namespace {

class CudaEmitter {
 public:
  explicit CudaEmitter(const Module& module) : module_(module), writer_(module) {}

  std::string run() {
    writer_.keep_unrolling();
    for (const ThreadgroupDeclaration& declaration : module_.threadgroup_declarations) {
      std::string text;
      for (const ThreadgroupDeclaration::Name& name : declaration.names) {
        text += fmt::format("__shared__ {} {}{}; ", writer_.write(declaration.type),
                            module_.tokens[name.token].text, writer_.write(name.extents));
      }
      writer_.replace(declaration.all, text);
    }
    for (const ConstantGlobal& constant : module_.constants) {
      if (constant.specialized) writer_.replace(constant.all, specialized(constant));
    }
    std::string out = swizzle_macros(module_) +
                      "#include \"cuda/metal_stdlib.h\"\nnamespace lattice_msl {\n" + writer_.write() + "}\n";
    for (std::size_t i = 0; i < module_.kernels.size(); ++i) out += entry(i);
    return out;
  }

 private:
  [[nodiscard]] std::string specialized(const ConstantGlobal& constant) const {
    const std::string type = bare_type(module_, writer_, constant.type_tokens);
    if (!constant.function_constant) {
      return fmt::format("static constexpr {} {} = {};", type, constant.name,
                         writer_.write(constant.initializer));
    }
    return fmt::format(
        "\n#ifdef LATTICE_FC_{0}\nstatic constexpr {1} {2} = {1}(LATTICE_FC_{0}); static constexpr bool {3} "
        "= true;"
        "\n#else\nstatic constexpr {1} {2} = {1}(); static constexpr bool {3} = false;\n#endif\n",
        *constant.function_constant, type, constant.name, defined_flag(constant.name));
  }

  /// One kernel's entry point. What a `constant T&` refers to comes by value, from the launch itself: no load
  /// from memory stands between a kernel's start and its arguments.
  [[nodiscard]] std::string entry(std::size_t index) const {
    const Kernel& kernel = module_.kernels[index];
    const KernelFunction& function = module_.function_of(kernel);
    std::string buffers;
    std::string offsets;
    std::string arguments;
    for (std::size_t i = 0; i < function.parameters.size(); ++i) {
      const Parameter& parameter = function.parameters[i];
      if (parameter.kind == ParameterKind::kBuffer && is_by_value(parameter)) {
        buffers += fmt::format("const __grid_constant__ lattice_entry_{}::Value<{}> b{}, ", index, i, i);
        arguments += fmt::format(", lattice_msl::cuda_entry::value_at(b{})", i);
      } else if (parameter.kind == ParameterKind::kBuffer) {
        buffers += fmt::format("void* b{}, ", i);
        arguments += fmt::format(", lattice_msl::cuda_entry::Pointer{{b{}}}", i);
      } else if (parameter.kind == ParameterKind::kThreadgroupMemory) {
        offsets += fmt::format("unsigned o{}, ", i);
        arguments += fmt::format(", lattice_msl::cuda_entry::Pointer{{lattice_shared + o{}}}", i);
      } else {
        arguments += fmt::format(", place.{}()", find_builtin(parameter.builtin)->field);
      }
    }
    const std::string address =
        fmt::format("&lattice_msl::{}{}", function.function, writer_.write(kernel.template_arguments));
    const std::string bounds =
        function.max_threads == 0 ? "" : fmt::format("LATTICE_MSL_BOUNDS({}) ", function.max_threads);
    return fmt::format(
        "#if !defined LATTICE_KERNEL || LATTICE_KERNEL == {0}\n"
        "namespace lattice_entry_{0} {{\n"
        "  using namespace lattice_msl; using namespace lattice_msl::metal;\n"
        "  template <unsigned I> using Value = lattice_msl::cuda_entry::Value<I, decltype({1})>;\n}}\n"
        "extern \"C\" __global__ void {2}kernel_{0}({3}{4}unsigned gx, unsigned gy, unsigned gz) {{  // {5}\n"
        "  extern __shared__ __align__(16) unsigned char lattice_shared[];\n"
        "  const lattice_msl::cuda_entry::Place place{{{{gx, gy, gz}}}};\n"
        "#ifndef LATTICE_WHOLE_THREADGROUPS\n"
        "  if (!place.inside()) return;\n"
        "#endif\n"
        "  using namespace lattice_msl; using namespace lattice_msl::metal;\n"
        "  lattice_msl::cuda_entry::call({1}{6});\n}}\n"
        "#endif\n",
        index, address, bounds, buffers, offsets, kernel.name, arguments);
  }

  const Module& module_;
  BodyWriter writer_;
};

}  // namespace

bool is_by_value(const Parameter& parameter) noexcept {
  return parameter.space == AddressSpace::kConstant && parameter.reference;
}

std::string emit_cuda(const Module& module) {
  return CudaEmitter(module).run();
}

std::vector<std::string> cuda_compile_options() {
  // Entities without a mark are the device's; a kernel's long is 64 bits wide on every Linux.
  return {"--std=c++20", "-default-device", "--gpu-architecture=compute_80", "-diag-suppress=177,550,20012"};
}

}  // namespace lattice::msl
