#include "msl/parameters.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "msl/builtin.h"
#include "msl/token_walk.h"
#include "support/printable.h"

namespace lattice::msl {
namespace {

// Metal's own limit: buffer indices 0 to 30.
constexpr std::uint32_t kMaxIndex = 30;

class ParameterParser {
 public:
  ParameterParser(const Module& module, const ParameterNames& names)
      : module_(module), names_(names), tokens_(module.tokens), walk_(*module.sources, module.tokens) {}

  std::vector<Parameter> run(TokenRange list) {
    std::vector<Parameter> out;
    const bool none = list.begin == list.end || (list.end - list.begin == 1 && walk_.is(list.begin, "void"));
    for (std::size_t at = list.begin; !none && at < list.end;) {
      const std::size_t end = past_parameter(at, list.end);
      out.push_back(parse({at, end}));
      at = end + 1;
    }
    number(out, list);
    return out;
  }

 private:
  /// The comma behind the parameter, or the list's end.
  [[nodiscard]] std::size_t past_parameter(std::size_t at, std::size_t end) const {
    while (at < end && !walk_.is(at, ",")) {
      std::size_t next = at + 1;
      if (walk_.is(at, "(") || walk_.is(at, "[") || walk_.is(at, "{")) next = walk_.past_group(at);
      if (walk_.is(at, "<")) next = std::max(walk_.past_angles(at), next);
      at = next;
    }
    return at;
  }

  [[noreturn]] void refuse(std::size_t at, std::string_view what) const {
    fail_at(*module_.sources, tokens_[at], "{}", what);
  }

  Parameter parse(TokenRange range) {
    Parameter out;
    index_.reset();
    std::vector<std::size_t> rest;  // without attributes
    for (std::size_t at = range.begin; at < range.end;) {
      if (walk_.opens_attribute(at)) {
        const std::size_t end = walk_.past_group(at);
        parse_attributes(out, {at + 2, end - 2});
        at = end;
      } else {
        rest.push_back(at++);
      }
    }
    if (rest.empty()) refuse(std::min(range.begin, tokens_.size() - 1), "a parameter is missing");
    shape(out, rest);
    classify(out, rest.front());
    return out;
  }

  void parse_attributes(Parameter& out, TokenRange list) {
    for (std::size_t at = list.begin; at < list.end; ++at) {
      if (walk_.is(at, ",")) continue;
      const std::string_view name = tokens_[at].text;
      const std::size_t name_at = at;
      TokenRange argument;
      if (walk_.is(at + 1, "(")) {
        const std::size_t end = walk_.past_group(at + 1);
        argument = {at + 2, end - 1};
        at = end - 1;
      }
      if (name == "buffer" || name == "threadgroup") {
        index_ = parse_index(name_at, argument);
        index_kind_ = name;
      } else if (name == "function_constant") {
        out.optional = true;
      } else if (find_builtin(name)) {
        out.builtin = name;
      } else if (name != "maybe_unused" && name != "gnu") {
        fail_at(*module_.sources, tokens_[name_at],
                "a compute kernel's parameter cannot have the attribute [[{}]]", name);
      }
    }
  }

  std::uint32_t parse_index(std::size_t at, TokenRange argument) const {
    if (argument.end - argument.begin == 1) {
      const Token& token = tokens_[argument.begin];
      std::uint32_t value = 0;
      const auto [stop, error] =
          std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      if (token.kind == TokenKind::kNumber && error == std::errc{} &&
          stop == token.text.data() + token.text.size()) {
        return in_range(at, value);
      }
      const auto found = names_.constants.find(token.text);
      if (found != names_.constants.end()) return in_range(at, found->second);
    }
    fail_at(*module_.sources, tokens_[at], "the index {} is neither a number nor a constant of this file",
            printable(module_.text(argument)));
  }

  [[nodiscard]] std::uint32_t in_range(std::size_t at, std::uint32_t value) const {
    if (value > kMaxIndex) {
      fail_at(*module_.sources, tokens_[at], "index {} is above {}, the last that Metal has", value,
              kMaxIndex);
    }
    return value;
  }

  /// Name, type text, address space, and whether it is a pointer or a reference.
  void shape(Parameter& out, const std::vector<std::size_t>& rest) const {
    std::size_t length = rest.size();
    std::size_t pointers = 0;
    if (walk_.is(rest.back(), "]")) {  // `T name[4]` is a pointer, as in C
      while (length > 0 && !walk_.is(rest[length - 1], "[")) --length;
      length -= length > 0 ? 1 : 0;
      ++pointers;
    }
    if (length == 0) refuse(rest.front(), "a kernel's parameter needs a name");
    const std::size_t name = rest[length - 1];
    int angles = 0;
    bool is_const = false;
    bool starred = false;
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t at = rest[i];
      const Token& token = tokens_[at];
      if (token.is("<")) ++angles;
      if (token.is(">")) --angles;
      if (token.is(">>")) angles -= 2;
      if (angles > 0) continue;
      if (token.is("[") || token.is("("))
        refuse(at, "a kernel's parameter may be no reference to an array and no function");
      if (token.is("=")) refuse(at, "a kernel's parameter has no default");
      if (token.is("*")) {
        ++pointers;
        starred = true;
      }
      if (token.is("&")) out.reference = true;
      if (token.is("const") && !starred) is_const = true;
      if (token.is("device")) out.space = AddressSpace::kDevice;
      if (token.is("constant")) out.space = AddressSpace::kConstant;
      if (token.is("threadgroup")) out.space = AddressSpace::kThreadgroup;
      for (const std::string_view image :
           {"texture", "sampler", "depth2d", "depthcube", "imageblock", "acceleration", "intersection",
            "visible_function_table", "tensor"}) {
        if (token.is_identifier() && token.text.starts_with(image) && at != name) {
          fail_at(*module_.sources, token, "textures, samplers and the like ({}) are not supported",
                  token.text);
        }
      }
      if (names_.structs_with_pointers.count(token.text) != 0 && at != name) {
        fail_at(*module_.sources, token, "{} holds pointers: argument buffers are not supported", token.text);
      }
    }
    if (!tokens_[name].is_identifier() || length < 2) refuse(name, "a kernel's parameter needs a name");
    if (pointers + (out.reference ? 1 : 0) > 1) refuse(name, "a kernel's parameter may point only once");
    out.name = tokens_[name].text;
    for (const std::size_t at : rest) {
      if (at == name) continue;
      if (!out.type.empty() && (tokens_[at].space_before || tokens_[at].first_on_line)) out.type += ' ';
      out.type += tokens_[at].text;
    }
    out.read_only = out.space == AddressSpace::kConstant || is_const;
    out.kind = pointers != 0 || out.reference ? ParameterKind::kBuffer : ParameterKind::kBuiltin;
  }

  void classify(Parameter& out, std::size_t at) {
    const bool points = out.kind == ParameterKind::kBuffer;
    if (out.kind == ParameterKind::kBuffer && out.space == AddressSpace::kThreadgroup) {
      out.kind = ParameterKind::kThreadgroupMemory;
    }
    if (points && out.space == AddressSpace::kNone) refuse(at, "a pointer needs an address space");
    if (points && !out.builtin.empty()) refuse(at, "a position or an index is no pointer");
    if (!points && out.builtin.empty()) {
      fail_at(*module_.sources, tokens_[at],
              "parameter {} is neither a buffer nor has it an attribute that says what it is", out.name);
    }
    if (index_ && (index_kind_ == "buffer") != (out.kind == ParameterKind::kBuffer)) {
      fail_at(*module_.sources, tokens_[at], "parameter {} cannot be [[{}({})]]", out.name, index_kind_,
              *index_);
    }
    out.index = index_.value_or(kUnnumbered);
  }

  void number(std::vector<Parameter>& parameters, TokenRange list) const {
    for (const ParameterKind kind : {ParameterKind::kBuffer, ParameterKind::kThreadgroupMemory}) {
      std::set<std::uint32_t> used;
      for (const Parameter& parameter : parameters) {
        if (parameter.kind != kind || parameter.index == kUnnumbered) continue;
        // Two optional parameters may share a slot: function constants pick one of them.
        if (!used.insert(parameter.index).second && !parameter.optional) {
          fail_at(*module_.sources, tokens_[list.begin], "two parameters have the index {}", parameter.index);
        }
      }
      std::uint32_t next = 0;
      for (Parameter& parameter : parameters) {
        if (parameter.kind != kind || parameter.index != kUnnumbered) continue;
        while (used.count(next) != 0) ++next;
        if (next > kMaxIndex) refuse(list.begin, "too many buffers");
        parameter.index = next++;
      }
    }
  }

  static constexpr std::uint32_t kUnnumbered = ~0u;

  const Module& module_;
  const ParameterNames& names_;
  const Tokens& tokens_;
  TokenWalk walk_;
  std::optional<std::uint32_t> index_;  // of the parameter being read
  std::string_view index_kind_;
};

}  // namespace

std::vector<Parameter> parse_parameters(const Module& module, TokenRange list, const ParameterNames& names) {
  return ParameterParser(module, names).run(list);
}

}  // namespace lattice::msl
