#include "msl/parser.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "msl/parameters.h"
#include "msl/token_walk.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

constexpr int kMaxNamespaces = 64;

class Parser {
 public:
  explicit Parser(Module& module)
      : module_(module), tokens_(module.tokens), walk_(*module.sources, module.tokens) {}

  void run() {
    find_attributes();
    parse_scope({0, tokens_.size()}, "", 0);
    resolve_instances();
    mark_specialized();
  }

 private:
  struct Instance {
    std::string host_name;
    std::string_view function;  // without namespaces
    TokenRange arguments;
    Token place;
  };

  [[noreturn]] void refuse(std::size_t at, std::string_view why) const {
    fail_at(*module_.sources, tokens_[std::min(at, tokens_.size() - 1)], "{}", why);
  }

  void find_attributes() {
    for (std::size_t at = 0; at < tokens_.size(); ++at) {
      if (!walk_.opens_attribute(at)) continue;
      const std::size_t end = walk_.past_group(at);
      if (!walk_.is(end - 2, "]")) continue;  // a[[…] …]: a lambda in a subscript
      module_.attributes.push_back({at, end});
      at = end - 1;
    }
  }

  void parse_scope(TokenRange scope, const std::string& path, int depth) {
    if (depth > kMaxNamespaces) refuse(scope.begin, "namespaces are nested too deeply");
    for (std::size_t at = scope.begin; at < scope.end;) at = parse_declaration(at, path, depth);
  }

  /// One declaration at namespace scope; returns past its end.
  std::size_t parse_declaration(std::size_t at, const std::string& path, int depth) {
    if (walk_.is(at, ";") || tokens_[at].kind == TokenKind::kUnroll) return at + 1;
    if (walk_.is(at, "}") || walk_.is(at, ")") || walk_.is(at, "]")) {
      fail_at(*module_.sources, tokens_[at], "unexpected {}", tokens_[at].text);
    }
    const std::size_t name_space = walk_.is(at, "inline") && walk_.is(at + 1, "namespace") ? at + 1 : at;
    if (walk_.is(name_space, "namespace")) return parse_namespace(name_space, path, depth);
    if (walk_.is(at, "extern") && at + 1 < tokens_.size() && tokens_[at + 1].kind == TokenKind::kString) {
      if (!walk_.is(at + 2, "{")) return at + 2;
      const std::size_t end = walk_.past_group(at + 2);
      parse_scope({at + 3, end - 1}, path, depth + 1);
      return end;
    }
    bool is_template = false;
    std::size_t begin = at;
    while (walk_.is(begin, "template")) {
      if (!walk_.is(begin + 1, "<")) return parse_instantiation(begin);
      const std::size_t past = walk_.past_angles(begin + 1);
      if (past == 0) refuse(begin, "the template's parameter list does not end");
      begin = past;
      is_template = true;
    }
    if (walk_.is(begin, "using") || walk_.is(begin, "typedef") || walk_.is(begin, "static_assert")) {
      return past_semicolon(begin);
    }
    if (is_class(begin)) return parse_class(begin);
    return parse_function_or_variable(begin, path, is_template);
  }

  std::size_t parse_namespace(std::size_t at, const std::string& path, int depth) {
    std::string inner = path;
    std::size_t open = at + 1;
    for (; open < tokens_.size() && !walk_.is(open, "{"); ++open) {
      if (walk_.is(open, "=")) return past_semicolon(open);
      if (walk_.opens_attribute(open)) {
        open = walk_.past_group(open) - 1;
      } else if (walk_.is_identifier(open)) {
        inner += std::string(tokens_[open].text) + "::";
      }
    }
    if (open == tokens_.size()) refuse(at, "the namespace has no body");
    const std::size_t end = walk_.past_group(open);
    parse_scope({open + 1, end - 1}, inner, depth + 1);
    return end;
  }

  [[nodiscard]] std::size_t past_semicolon(std::size_t at) const {
    const std::size_t begin = at;
    while (!walk_.is(at, ";")) {
      if (at >= tokens_.size()) refuse(begin, "this declaration does not end");
      at = walk_.is(at, "(") || walk_.is(at, "[") || walk_.is(at, "{") ? walk_.past_group(at) : at + 1;
    }
    return at + 1;
  }

  /// struct, class, union or enum with a body or a forward declaration, and not a function or variable of
  /// such a type.
  [[nodiscard]] bool is_class(std::size_t at) const {
    while (walk_.is_identifier(at) &&
           (walk_.is(at, "static") || walk_.is(at, "const") || walk_.is(at, "constexpr")))
      ++at;
    if (!walk_.is(at, "struct") && !walk_.is(at, "class") && !walk_.is(at, "union") && !walk_.is(at, "enum"))
      return false;
    for (++at; at < tokens_.size(); ++at) {
      if (walk_.is(at, "{") || walk_.is(at, ";")) return true;
      if (walk_.is(at, "=")) return false;
      if (walk_.opens_attribute(at)) at = walk_.past_group(at) - 1;
      if ((walk_.is(at, "alignas") || walk_.is(at, "__attribute__")) && walk_.is(at + 1, "(")) {
        at = walk_.past_group(at + 1) - 1;
      } else if (walk_.is(at, "(")) {
        return false;
      }
    }
    return false;
  }

  std::size_t parse_class(std::size_t at) {
    const bool is_enum = walk_.is(at, "enum");
    std::string_view name;
    std::size_t open = at;
    bool named = false;
    for (; !walk_.is(open, "{") && !walk_.is(open, ";"); ++open) {
      if (walk_.is(open, ":")) named = true;
      if (walk_.opens_attribute(open)) open = walk_.past_group(open) - 1;
      if (walk_.is(open, "<")) open = std::max(walk_.past_angles(open), open + 1) - 1;
      if (!named && walk_.is_identifier(open)) name = tokens_[open].text;
    }
    if (walk_.is(open, ";")) return open + 1;
    const std::size_t end = walk_.past_group(open);
    if (is_enum) {
      collect_enumerators({open + 1, end - 1});
    } else if (holds_pointers({open + 1, end - 1})) {
      names_.structs_with_pointers.insert(name);
    }
    refuse_threadgroup_variables({open, end});
    return past_semicolon(end);
  }

  void collect_enumerators(TokenRange body) {
    std::uint32_t next = 0;
    bool known = true;
    for (std::size_t at = body.begin; at < body.end; ++at) {
      if (!walk_.is_identifier(at)) continue;
      const std::string_view name = tokens_[at].text;
      if (walk_.is(at + 1, "=")) {
        const auto value = walk_.is(at + 3, ",") || at + 3 == body.end ? integer(at + 2) : std::nullopt;
        known = value.has_value();
        next = value.value_or(0);
      }
      if (known) names_.constants[name] = next++;
      while (at < body.end && !walk_.is(at, ",")) ++at;
    }
  }

  [[nodiscard]] std::optional<std::uint32_t> integer(std::size_t at) const {
    const std::string_view text = tokens_[at].text;
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
  }

  /// Whether a struct has a member that points into an address space other than `thread`.
  [[nodiscard]] bool holds_pointers(TokenRange body) const {
    bool space = false;
    bool pointer = false;
    for (std::size_t at = body.begin; at < body.end; ++at) {
      if (walk_.is(at, "(") || walk_.is(at, "{")) {  // a function
        at = walk_.past_group(at) - 1;
        space = pointer = false;
      } else if (walk_.is(at, ";")) {
        if (space && pointer) return true;
        space = pointer = false;
      }
      space = space || (is_address_space(tokens_[at]) && !walk_.is(at, "thread"));
      pointer = pointer || walk_.is(at, "*") || walk_.is(at, "&");
    }
    return false;
  }

  /// Where the declaration that begins at `at` has its parameter list, if it is a function.
  struct Shape {
    std::size_t parameters = 0;  // of (; 0: none
    std::size_t equals = 0;
    std::size_t body = 0;  // of {, of a function or a brace initialiser
    std::size_t end = 0;   // past the semicolon or the body
    bool kernel = false;
    std::string host_name;
    std::uint32_t max_threads = 0;
  };

  Shape shape_of(std::size_t begin) const {
    Shape out;
    for (std::size_t at = begin; at < tokens_.size();) {
      if (walk_.opens_attribute(at)) {
        const std::size_t end = walk_.past_group(at);
        read_function_attributes({at + 2, end - 2}, out);
        at = end;
      } else if ((walk_.is(at, "__attribute__") || walk_.is(at, "alignas") || walk_.is(at, "decltype")) &&
                 walk_.is(at + 1, "(")) {
        at = walk_.past_group(at + 1);
      } else if (walk_.is(at, ";")) {
        out.end = at + 1;
        return out;
      } else if (walk_.is(at, "{")) {
        if (out.body == 0) out.body = at;
        const bool constructor_member =
            out.parameters != 0 && in_initializer_list_ && !walk_.is(at - 1, ")") && !walk_.is(at - 1, "}");
        const std::size_t end = walk_.past_group(at);
        if (out.parameters != 0 && out.equals == 0 && !constructor_member) {
          out.body = at;
          out.end = end;
          return out;
        }
        at = end;
      } else if (walk_.is(at, "(") || walk_.is(at, "[")) {
        const bool parameters = walk_.is(at, "(") && out.parameters == 0 && out.equals == 0;
        if (parameters) out.parameters = at;
        at = walk_.past_group(at);
        if (parameters && walk_.is(at, "(")) {  // operator()(…)
          out.parameters = at;
          at = walk_.past_group(at);
        }
      } else {
        if (walk_.is(at, "=") && out.equals == 0 && !walk_.is(at - 1, "operator")) out.equals = at;
        if (walk_.is(at, "kernel") && out.parameters == 0) out.kernel = true;
        if ((walk_.is(at, "vertex") || walk_.is(at, "fragment")) && out.parameters == 0 &&
            walk_.is_identifier(at + 1)) {
          fail_at(*module_.sources, tokens_[at], "{} functions are not supported, only kernels",
                  tokens_[at].text);
        }
        in_initializer_list_ = out.parameters != 0 && (in_initializer_list_ || walk_.is(at, ":"));
        ++at;
      }
    }
    refuse(begin, "this declaration does not end");
  }

  void read_function_attributes(TokenRange list, Shape& out) const {
    for (std::size_t at = list.begin; at < list.end; ++at) {
      if (walk_.is(at, "kernel")) out.kernel = true;
      for (const std::string_view stage : {"vertex", "fragment", "object", "mesh", "tile"}) {
        if (walk_.is(at, stage) && out.parameters == 0) {
          fail_at(*module_.sources, tokens_[at], "{} functions are not supported, only kernels", stage);
        }
      }
      if (walk_.is(at, "host_name") && walk_.is(at + 1, "(")) out.host_name = string_literal(at + 2);
      if (walk_.is(at, "max_total_threads_per_threadgroup") && walk_.is(at + 1, "(") && at + 2 < list.end) {
        out.max_threads = integer(at + 2).value_or(0);
      }
      if (walk_.is(at + 1, "(")) at = walk_.past_group(at + 1) - 1;
    }
  }

  [[nodiscard]] std::string string_literal(std::size_t at) const {
    std::string out;
    const std::size_t begin = at;
    for (; at < tokens_.size() && tokens_[at].kind == TokenKind::kString; ++at) {
      out += tokens_[at].text.substr(1, tokens_[at].text.size() - 2);
    }
    if (out.empty()) refuse(begin, "host_name takes a string");
    if (out.find_first_of("\\\"\n") != std::string::npos) refuse(begin, "a host name may hold no escapes");
    return out;
  }

  std::size_t parse_function_or_variable(std::size_t begin, const std::string& path, bool is_template) {
    in_initializer_list_ = false;
    const Shape shape = shape_of(begin);
    const bool function = shape.parameters != 0 && shape.equals == 0;
    if (function && shape.kernel) {
      add_kernel_function(begin, shape, path, is_template);
    } else if (function && shape.body != 0) {
      refuse_threadgroup_variables({shape.body, shape.end});
    } else if (!function) {
      add_constant(begin, shape, path);
    }
    return shape.end;
  }

  void add_kernel_function(std::size_t begin, const Shape& shape, const std::string& path, bool is_template) {
    if (shape.body == 0) return;  // a declaration of what is defined elsewhere
    const std::size_t name = shape.parameters - 1;
    if (!walk_.is_identifier(name))
      refuse(begin, "a kernel needs a name; specialised kernel templates are not supported");
    KernelFunction function;
    function.place = tokens_[name];
    function.function = path + std::string(tokens_[name].text);
    function.is_template = is_template;
    function.max_threads = shape.max_threads;
    const std::size_t end = walk_.past_group(shape.parameters);
    function.parameters = parse_parameters(module_, {shape.parameters + 1, end - 1}, names_);
    function.host_name = shape.host_name.empty() ? std::string(tokens_[name].text) : shape.host_name;
    for (const KernelFunction& other : module_.functions) {
      if (other.function == function.function) {
        fail_at(*module_.sources, function.place, "there are two kernels {}: overloads are not supported",
                function.function);
      }
    }
    collect_threadgroup_variables({shape.body, shape.end}, function.function);
    if (!is_template) {
      module_.kernels.push_back({function.host_name, module_.functions.size(), {}, function.place});
    }
    module_.functions.push_back(std::move(function));
  }

  /// The variable that the `threadgroup` at `at` declares, if it declares one: a name behind the type, and no
  /// pointer or reference.
  [[nodiscard]] std::optional<ThreadgroupDeclaration> threadgroup_declaration(std::size_t at) const {
    ThreadgroupDeclaration out;
    out.type.begin = at + 1;
    out.type.end = walk_.past_type(at + 1);
    std::size_t name = out.type.end;
    if (name == out.type.begin || !walk_.is_identifier(name)) return std::nullopt;
    out.all.begin = at;
    while (at > 0 &&
           (walk_.is(at - 1, "static") || walk_.is(at - 1, "const") || walk_.is(at - 1, "volatile")))
      --at;
    out.all.begin = at;
    if (at > 0 && walk_.is(at - 1, ")")) {  // alignas(16) threadgroup T x;
      for (std::size_t open = at - 1; open > 0 && open + 8 > at; --open) {
        if (walk_.is(open, "alignas")) refuse(open, "alignas on a threadgroup variable is not supported");
      }
    }
    while (true) {
      if (!walk_.is_identifier(name))
        refuse(name, "a threadgroup variable needs a name; pointers stand in a declaration of their own");
      std::size_t end = name + 1;
      while (walk_.is(end, "[") && !walk_.opens_attribute(end)) end = walk_.past_group(end);
      out.names.push_back({name, {name + 1, end}});
      while (walk_.opens_attribute(end)) end = walk_.past_group(end);
      // Metal takes `= {0}` and leaves the memory undefined all the same; so does this.
      if (walk_.is(end, "=") && walk_.is(end + 1, "{")) {
        const std::size_t past = walk_.past_group(end + 1);
        if (past == end + 3 || (past == end + 4 && walk_.is(end + 2, "0"))) end = past;
      }
      if (walk_.is(end, ";")) {
        out.all.end = end + 1;
        return out;
      }
      if (out.names.size() == 1 && !walk_.is(end, ",") && !walk_.is(end, "=") && !walk_.is(end, "{"))
        return std::nullopt;
      if (!walk_.is(end, ",")) refuse(end, "a threadgroup variable has no initialiser");
      name = end + 1;
    }
  }

  void collect_threadgroup_variables(TokenRange body, const std::string& kernel) {
    for (std::size_t at = body.begin; at < body.end; ++at) {
      if (!walk_.is(at, "threadgroup") || in_attribute(at)) continue;
      auto declaration = threadgroup_declaration(at);
      if (!declaration) continue;
      declaration->kernel = kernel;
      at = declaration->all.end - 1;
      module_.threadgroup_declarations.push_back(std::move(*declaration));
    }
  }

  [[nodiscard]] bool in_attribute(std::size_t at) const {
    auto after =
        std::upper_bound(module_.attributes.begin(), module_.attributes.end(), at,
                         [](std::size_t value, const TokenRange& range) { return value < range.begin; });
    return after != module_.attributes.begin() && at < (after - 1)->end;
  }

  /// Outside kernels MSL has no threadgroup variables; parameters and members of pointer type are fine.
  void refuse_threadgroup_variables(TokenRange body) const {
    for (std::size_t at = body.begin; at < body.end; ++at) {
      if (!walk_.is(at, "threadgroup") || in_attribute(at)) continue;
      if (threadgroup_declaration(at)) refuse(at, "threadgroup variables can stand only in a kernel's body");
    }
  }

  void add_constant(std::size_t begin, const Shape& shape, const std::string& path) {
    bool constant = false;
    for (std::size_t at = begin; at < shape.end && !walk_.is(at, "=") && !walk_.is(at, "{"); ++at) {
      constant = constant || walk_.is(at, "constant");
    }
    const std::size_t name = walk_.past_type(begin);
    if (!constant || name == begin || !walk_.is_identifier(name)) return;
    ConstantGlobal out;
    out.name = tokens_[name].text;
    out.scope = path;
    out.all = {begin, shape.end};
    out.type_tokens = {begin, name};
    out.type = module_.text(out.type_tokens);
    std::size_t at = name + 1;
    while (walk_.is(at, "[") && !walk_.opens_attribute(at)) at = walk_.past_group(at);
    out.extents = {name + 1, at};
    for (; walk_.opens_attribute(at); at = walk_.past_group(at)) {
      if (!walk_.is(at + 2, "function_constant")) continue;
      const auto index = walk_.is(at + 3, "(") ? constant_index(at + 4) : std::nullopt;
      if (!index) refuse(at, "function_constant takes a number");
      out.function_constant = index;
    }
    if (walk_.is(at, "=")) out.initializer = {at + 1, shape.end - 1};
    if (walk_.is(at, "{")) out.initializer = {at, walk_.past_group(at)};
    if (out.function_constant && (out.initializer.begin != 0 || out.extents.begin != out.extents.end)) {
      refuse(name, "a function constant is a scalar or a vector, and has no initialiser");
    }
    if (out.initializer.end - out.initializer.begin == 1) {
      if (const auto value = integer(out.initializer.begin)) names_.constants[tokens_[name].text] = *value;
    }
    module_.constants.push_back(std::move(out));
  }

  [[nodiscard]] std::optional<std::uint32_t> constant_index(std::size_t at) const {
    if (const auto value = integer(at)) return value;
    const auto found = names_.constants.find(tokens_[at].text);
    if (found == names_.constants.end()) return std::nullopt;
    return found->second;
  }

  /// `template [[host_name("x")]] [[kernel]] void f<float>(…);`, or with decltype(f<float>) or a typedef for
  /// the function's type.
  std::size_t parse_instantiation(std::size_t begin) {
    const std::size_t end = past_semicolon(begin);
    Shape shape;
    Instance instance;
    instance.place = tokens_[begin];
    bool found = false;
    for (std::size_t at = begin + 1; at + 1 < end;) {
      if (walk_.opens_attribute(at)) {
        const std::size_t past = walk_.past_group(at);
        read_function_attributes({at + 2, past - 2}, shape);
        at = past;
        continue;
      }
      if (walk_.is(at, "decltype") || walk_.is(at, "__attribute__")) {
        at = walk_.past_group(at + 1);
        continue;
      }
      if (walk_.is(at, "kernel")) shape.kernel = true;
      if (walk_.is_identifier(at) && walk_.is(at + 1, "<")) {
        const std::size_t past = walk_.past_angles(at + 1);
        if (past == 0) refuse(at, "the template's arguments do not end");
        if (past == end - 1 || walk_.is(past, "(")) {
          instance.function = tokens_[at].text;
          instance.arguments = {at + 1, past};
          found = true;
          break;
        }
        at = past;
        continue;
      }
      ++at;
    }
    if (!shape.kernel && shape.host_name.empty()) return end;  // an instantiation of something else
    if (!found) refuse(begin, "this names no kernel template with its arguments");
    if (shape.host_name.empty()) refuse(begin, "an instance of a kernel template needs a host_name");
    instance.host_name = shape.host_name;
    module_.instantiations.push_back({begin, end});
    instances_.push_back(std::move(instance));
    return end;
  }

  void resolve_instances() {
    for (const Instance& instance : instances_) {
      const auto found =
          std::find_if(module_.functions.begin(), module_.functions.end(), [&](const KernelFunction& f) {
            const std::size_t qualifier = f.function.rfind("::");
            return f.is_template &&
                   std::string_view(f.function).substr(qualifier == std::string::npos ? 0 : qualifier + 2) ==
                       instance.function;
          });
      if (found == module_.functions.end()) {
        fail_at(*module_.sources, instance.place, "there is no kernel template {}", instance.function);
      }
      module_.kernels.push_back({instance.host_name,
                                 static_cast<std::size_t>(found - module_.functions.begin()),
                                 instance.arguments, instance.place});
    }
    std::set<std::string_view> seen;
    for (const Kernel& kernel : module_.kernels) {
      if (!seen.insert(kernel.name).second) {
        fail_at(*module_.sources, kernel.place, "there are two kernels {}", printable(kernel.name));
      }
    }
  }

  /// A constant whose initialiser names a function constant, or another such, is known only when a kernel is
  /// specialised.
  void mark_specialized() {
    std::set<std::string_view> specialized;
    for (ConstantGlobal& constant : module_.constants) {
      constant.specialized = constant.function_constant.has_value();
      for (std::size_t at = constant.initializer.begin; at < constant.initializer.end; ++at) {
        if (specialized.count(tokens_[at].text) != 0) constant.specialized = true;
      }
      if (!constant.specialized) continue;
      if (constant.extents.begin != constant.extents.end) {
        fail_at(*module_.sources, tokens_[constant.all.begin],
                "array {} follows from a function constant: not supported", constant.name);
      }
      specialized.insert(constant.name);
    }
  }

  Module& module_;
  const Tokens& tokens_;
  TokenWalk walk_;
  ParameterNames names_;
  std::vector<Instance> instances_;
  mutable bool in_initializer_list_ = false;  // of the constructor that shape_of() reads
};

Module parse(std::unique_ptr<SourceSet> sources, std::uint16_t file, const PreprocessorOptions& options) {
  Module module;
  module.sources = std::move(sources);
  module.name = module.sources->file(file).name;
  module.tokens = preprocess(*module.sources, file, options);
  Parser(module).run();
  return module;
}

}  // namespace

Module parse_file(const std::filesystem::path& path, const PreprocessorOptions& options) {
  auto sources = std::make_unique<SourceSet>();
  const std::uint16_t file = sources->add_file(path);
  return parse(std::move(sources), file, options);
}

Module parse_text(std::string name, std::string_view text, const PreprocessorOptions& options) {
  auto sources = std::make_unique<SourceSet>();
  const std::uint16_t file = sources->add(std::move(name), text);
  return parse(std::move(sources), file, options);
}

}  // namespace lattice::msl
