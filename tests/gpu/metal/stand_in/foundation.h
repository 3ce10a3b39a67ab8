#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gpu/metal/stand_in/objc.h"

namespace lattice::gpu::stand_in {

class String final : public Object {
 public:
  explicit String(std::string text = {}) : Object("NSString"), text(std::move(text)) {}

  NS::String* init_with(const char* from, NS::StringEncoding encoding);
  const char* utf8() { return text.c_str(); }

  std::string text;
};

/// A string that lives until the pool ends: what getters return.
[[nodiscard]] NS::String* autoreleased(std::string text);

class Array final : public Object {
 public:
  Array() : Object("NSArray") {}

  NS::Array* init_with(const NS::Object* const* objects, NS::UInteger count);
  NS::UInteger count() { return elements.size(); }
  NS::Object* object_at(NS::UInteger index);

  std::vector<Strong<Object>> elements;

 protected:
  void dealloc() override { elements.clear(); }
};

class Error final : public Object {
 public:
  Error(long code, std::string description)
      : Object("NSError"), code_(code), description_(std::move(description)) {}

  NS::Integer code() { return code_; }
  NS::String* description() { return autoreleased(description_); }

 private:
  long code_;
  std::string description_;
};

/// Sets `error`, where one is asked for, to an autoreleased error.
void set_error(NS::Error** error, long code, std::string description);

class Url final : public Object {
 public:
  Url() : Object("NSURL") {}

  NS::URL* init_file(const NS::String* path_text);

  std::string path;
};

}  // namespace lattice::gpu::stand_in
