#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <Metal/Metal.hpp>

// Apple's metal-cpp, and what makes its reference counts safe to use: an owner for what methods called new,
// alloc or copy return, and a scope for what all the others do.

namespace lattice::gpu::metal {

struct Release {
  template <typename T>
  void operator()(T* object) const noexcept {
    object->release();
  }
};

/// One count of an object, given back when this goes.
template <typename T>
using Owned = std::unique_ptr<T, Release>;

/// A count of its own for an object that somebody else owns; null for null.
template <typename T>
[[nodiscard]] Owned<T> retained(T* object) {
  if (object != nullptr) object->retain();
  return Owned<T>(object);
}

/// Objects that are returned without being owned live as long as the innermost scope. A program without a run
/// loop has no other, so that every call that may make such objects stands in one.
class AutoreleaseScope {
 public:
  AutoreleaseScope() : pool_(NS::AutoreleasePool::alloc()->init()) {}
  ~AutoreleaseScope() { pool_->release(); }
  AutoreleaseScope(const AutoreleaseScope&) = delete;
  AutoreleaseScope& operator=(const AutoreleaseScope&) = delete;

 private:
  NS::AutoreleasePool* pool_;
};

[[nodiscard]] inline Owned<NS::String> ns_string(std::string_view text) {
  return Owned<NS::String>(NS::String::alloc()->init(std::string(text).c_str(), NS::UTF8StringEncoding));
}

/// Empty for null.
[[nodiscard]] inline std::string text_of(const NS::String* string) {
  const char* text = string == nullptr ? nullptr : string->utf8String();
  return text == nullptr ? std::string() : std::string(text);
}

/// What an error says of itself.
[[nodiscard]] inline std::string text_of(const NS::Error* error) {
  std::string text = error == nullptr ? std::string() : text_of(error->localizedDescription());
  return text.empty() ? "no reason was given" : text;
}

/// Whether the running system's object has a method: newer ones than macOS 14's are asked for first.
[[nodiscard]] inline bool responds(const NS::Object* object, const char* method) {
  struct Asking : NS::Object {
    using NS::Object::respondsToSelector;
  };
  return Asking::respondsToSelector(object, sel_registerName(method));
}

}  // namespace lattice::gpu::metal
