#include "cli/msl_bindings.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/ranges.h>

#include "cli/arguments.h"
#include "formats/npy.h"
#include "support/checked.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

struct ElementType {
  std::string_view name;
  std::string_view descr;  // NumPy's; of bf16, that of the file it is written to
  std::size_t bytes;
  std::string_view msl;  // of a function constant
};

constexpr std::array<ElementType, 12> kTypes = {{{"f32", "<f4", 4, "float"},
                                                 {"f16", "<f2", 2, "half"},
                                                 {"bf16", "<f4", 2, "bfloat"},
                                                 {"i8", "|i1", 1, "char"},
                                                 {"u8", "|u1", 1, "uchar"},
                                                 {"i16", "<i2", 2, "short"},
                                                 {"u16", "<u2", 2, "ushort"},
                                                 {"i32", "<i4", 4, "int"},
                                                 {"u32", "<u4", 4, "uint"},
                                                 {"i64", "<i8", 8, "long"},
                                                 {"u64", "<u8", 8, "ulong"},
                                                 {"bool", "|b1", 1, "bool"}}};

// More than any buffer of a test; less than what would exhaust the machine.
constexpr std::uint64_t kMaxBytes = std::uint64_t{16} << 30;

const ElementType* find_type(std::string_view name) {
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const ElementType& type) { return type.name == name; });
  return found == kTypes.end() ? nullptr : found;
}

const ElementType& type_named(std::string_view flag, std::string_view name) {
  if (const ElementType* type = find_type(name)) return *type;
  fail_usage("{}: {} is no type: f32, f16, bf16, i8 to i64, u8 to u64 or bool", flag, printable(name));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t end = text.find(separator);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

/// "index=rest".
std::pair<std::uint32_t, std::string_view> split_index(std::string_view flag, std::string_view text,
                                                       std::int64_t highest) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) fail_usage("{} {}: INDEX=… is what it takes", flag, printable(text));
  return {static_cast<std::uint32_t>(parse_integer(flag, text.substr(0, equals), 0, highest)),
          text.substr(equals + 1)};
}

void append_value(std::vector<std::byte>& out, const ElementType& type, std::string_view flag,
                  std::string_view text) {
  const auto append = [&](const auto& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), bytes, bytes + type.bytes);  // little-endian: the low bytes come first
  };
  if (type.name == "f32") {
    append(parse_number(flag, text));
  } else if (type.name == "f16") {
    append(f32_to_f16(parse_number(flag, text)));
  } else if (type.name == "bf16") {
    append(f32_to_bf16(parse_number(flag, text)));
  } else if (type.name == "bool" && (text == "true" || text == "false")) {
    append(std::uint8_t{text == "true"});
  } else if (type.name == "u64") {
    append(parse_seed(flag, text));
  } else {
    const bool is_signed = type.name[0] == 'i';
    const int bits = type.name == "bool" ? 1 : static_cast<int>(type.bytes) * 8 - (is_signed ? 1 : 0);
    const std::int64_t high = static_cast<std::int64_t>((std::uint64_t{1} << bits) - 1);
    append(parse_integer(flag, text, is_signed ? -high - 1 : 0, high));
  }
}

KernelBuffer from_file(std::string_view path) {
  NpyArray array = read_npy(std::filesystem::path(path));
  KernelBuffer out;
  const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const ElementType& t) {
    return t.name != "bf16" && t.descr.substr(1) == std::string_view(array.descr).substr(1);
  });
  if (type == kTypes.end()) fail("{}: no kernel takes elements of type {}", printable(path), array.descr);
  out.type = type->name;
  out.shape = std::move(array.shape);
  out.data = std::move(array.data);
  return out;
}

/// "f32[16,1024]" as zeros.
KernelBuffer zeros(std::string_view text) {
  const std::size_t open = text.find('[');
  if (open == std::string_view::npos || !text.ends_with(']')) {
    fail_usage("--buffer out:{}: TYPE[N] or TYPE[N,M] is what it takes", printable(text));
  }
  const ElementType& type = type_named("--buffer", text.substr(0, open));
  KernelBuffer out;
  out.type = type.name;
  std::optional<std::uint64_t> bytes = type.bytes;
  for (const std::string_view extent : split(text.substr(open + 1, text.size() - open - 2), ',')) {
    out.shape.push_back(
        static_cast<std::uint64_t>(parse_integer("--buffer", extent, 1, std::int64_t{1} << 40)));
    if (bytes) bytes = checked_mul(*bytes, out.shape.back());
  }
  if (!bytes || *bytes > kMaxBytes)
    fail_usage("--buffer out:{}: more than {} bytes", printable(text), kMaxBytes);
  out.data.resize(*bytes);
  return out;
}

}  // namespace

KernelBuffer parse_buffer(std::string_view text) {
  const auto [index, what] = split_index("--buffer", text, static_cast<std::int64_t>(msl::kBindings) - 1);
  KernelBuffer out;
  const std::size_t colon = what.find(':');
  const std::string_view kind = what.substr(0, colon);
  if (colon != std::string_view::npos && kind == "out") {
    out = zeros(what.substr(colon + 1));
    out.written = true;
  } else if (colon != std::string_view::npos && kind == "inout") {
    out = from_file(what.substr(colon + 1));
    out.written = true;
  } else if (colon != std::string_view::npos && find_type(kind) != nullptr) {
    const ElementType& type = *find_type(kind);
    out.type = type.name;
    for (const std::string_view value : split(what.substr(colon + 1), ','))
      append_value(out.data, type, "--buffer", value);
    out.shape = {out.data.size() / type.bytes};
  } else {
    out = from_file(what);
  }
  out.index = index;
  return out;
}

void write_buffer(const std::filesystem::path& path, const KernelBuffer& buffer) {
  const ElementType& type = type_named("--buffer", buffer.type);
  if (type.name != "bf16") {
    write_npy(path, type.descr, buffer.shape, buffer.data);
    return;
  }
  std::vector<float> wide(buffer.data.size() / 2);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, buffer.data.data() + 2 * i, 2);
    wide[i] = bf16_to_f32(bits);
  }
  write_npy(path, type.descr, buffer.shape, std::as_bytes(std::span(wide)));
}

msl::Size3 parse_size(std::string_view flag, std::string_view text) {
  msl::Size3 out = {1, 1, 1};
  const std::vector<std::string_view> parts = split(text, ',');
  if (parts.size() > 3) fail_usage("{} {}: at most three numbers", flag, printable(text));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    out[i] = static_cast<std::uint32_t>(parse_integer(flag, parts[i], 1, 0x7fffffff));
  }
  return out;
}

msl::ConstantValue parse_constant(const msl::Module& module, std::string_view text) {
  const auto [index, value] = split_index("--constant", text, 65535);
  for (const msl::ConstantGlobal& constant : module.constants) {
    if (constant.function_constant != index) continue;
    const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const ElementType& t) {
      // The type as written may carry `constant` and `const`; its last word is what counts.
      const std::size_t blank = constant.type.rfind(' ');
      const std::string_view word =
          std::string_view(constant.type).substr(blank == std::string::npos ? 0 : blank + 1);
      return t.msl == word || (word == "uint32_t" && t.name == "u32") ||
             (word == "int32_t" && t.name == "i32");
    });
    if (type == kTypes.end())
      fail_usage("--constant {}: values of type {} cannot be given here", index, constant.type);
    msl::ConstantValue out;
    out.index = index;
    append_value(out.bytes, *type, "--constant", value);
    return out;
  }
  fail_usage("--constant {}: there is no function constant with this index", index);
}

std::pair<std::uint32_t, std::uint32_t> parse_threadgroup_memory(std::string_view text) {
  const auto [index, bytes] =
      split_index("--threadgroup-memory", text, static_cast<std::int64_t>(msl::kBindings) - 1);
  return {index,
          static_cast<std::uint32_t>(parse_integer("--threadgroup-memory", bytes, 1,
                                                   static_cast<std::int64_t>(msl::kMaxThreadgroupBytes)))};
}

std::string describe(const KernelBuffer& buffer) {
  return fmt::format("{}[{}]", buffer.type, fmt::join(buffer.shape, ","));
}

}  // namespace lattice::cli
