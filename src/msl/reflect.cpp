#include "msl/reflect.h"

#include <nlohmann/json.hpp>

namespace lattice::msl {
namespace {

using Json = nlohmann::ordered_json;

std::string_view name_of(AddressSpace space) {
  switch (space) {
    case AddressSpace::kDevice:
      return "device";
    case AddressSpace::kConstant:
      return "constant";
    case AddressSpace::kThreadgroup:
      return "threadgroup";
    case AddressSpace::kNone:
      break;
  }
  return "thread";
}

Json describe(const Parameter& parameter) {
  Json out{{"name", parameter.name}, {"type", parameter.type}};
  switch (parameter.kind) {
    case ParameterKind::kBuffer:
      out["kind"] = "buffer";
      out["index"] = parameter.index;
      out["address_space"] = name_of(parameter.space);
      out["access"] = parameter.read_only ? "read" : "read_write";
      out["optional"] = parameter.optional;
      break;
    case ParameterKind::kThreadgroupMemory:
      out["kind"] = "threadgroup_memory";
      out["index"] = parameter.index;
      out["address_space"] = name_of(parameter.space);
      break;
    case ParameterKind::kBuiltin:
      out["kind"] = "builtin";
      out["attribute"] = parameter.builtin;
      break;
  }
  return out;
}

Json describe(const Module& module, const Kernel& kernel) {
  const KernelFunction& function = module.function_of(kernel);
  Json out{{"name", kernel.name},
           {"function", function.function + module.text(kernel.template_arguments)},
           {"file", module.sources->file(function.place.file).name},
           {"line", function.place.line}};
  if (function.max_threads != 0) out["max_total_threads_per_threadgroup"] = function.max_threads;
  out["parameters"] = Json::array();
  for (const Parameter& parameter : function.parameters) out["parameters"].push_back(describe(parameter));
  out["threadgroup_variables"] = Json::array();
  for (const ThreadgroupDeclaration& declaration : module.threadgroup_declarations) {
    if (declaration.kernel != function.function) continue;
    for (const ThreadgroupDeclaration::Name& name : declaration.names) {
      out["threadgroup_variables"].push_back({{"name", module.tokens[name.token].text},
                                              {"type", module.text(declaration.type)},
                                              {"extents", module.text(name.extents)},
                                              {"line", module.tokens[name.token].line}});
    }
  }
  return out;
}

}  // namespace

std::string reflect_json(const Module& module) {
  Json out{{"file", module.name}};
  out["kernels"] = Json::array();
  for (const Kernel& kernel : module.kernels) out["kernels"].push_back(describe(module, kernel));
  out["function_constants"] = Json::array();
  for (const ConstantGlobal& constant : module.constants) {
    if (!constant.function_constant) continue;
    out["function_constants"].push_back(
        {{"name", constant.name}, {"type", constant.type}, {"index", *constant.function_constant}});
  }
  // What no instance names cannot be launched; a reader of the file should see that it is there.
  out["uninstantiated_templates"] = Json::array();
  for (std::size_t i = 0; i < module.functions.size(); ++i) {
    if (!module.functions[i].is_template) continue;
    bool used = false;
    for (const Kernel& kernel : module.kernels) used = used || kernel.function == i;
    if (!used) out["uninstantiated_templates"].push_back(module.functions[i].function);
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lattice::msl
