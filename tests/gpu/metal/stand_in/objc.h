#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <Metal/Metal.hpp>
#include <fmt/format.h>

// A stand-in for the Objective-C runtime, for tests: classes of our own answer the messages that metal-cpp
// sends. objc_msgSend is the real thing in small (message_send.cpp): it looks the method up by receiver and
// selector and jumps to it with every argument where the caller put it, so that a caller that casts
// objc_msgSend to another type than the method's is in as much trouble as on a Mac.
//
// What Metal would not stand for, or would stand for and punish later, is a violation: it is taken down, the
// message does nothing, and the test that sees violations fails.

namespace lattice::gpu::stand_in {

/// Takes down what the program under test did wrong.
void violate(std::string what);
template <typename... Args>
void violate(fmt::format_string<Args...> format, Args&&... args) {
  violate(fmt::format(format, std::forward<Args>(args)...));
}
/// What was taken down since this was last called.
[[nodiscard]] std::vector<std::string> take_violations();

class Object;

/// A class: its methods by selector. `since` is the first macOS that has the method.
struct ClassInfo {
  struct Method {
    void* function;
    int since;
  };
  std::string name;
  const ClassInfo* super = nullptr;
  std::map<std::string, Method, std::less<>> methods;
  std::map<std::string, Method, std::less<>> class_methods;

  [[nodiscard]] const Method* find(std::string_view selector, bool of_class) const;
};

/// An object with a reference count. Its memory is kept when the count is zero, so that messages to it are
/// seen for what they are.
class Object {
 public:
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // NSObject's methods.
  Object* retain();
  void release();
  Object* autorelease();
  NS::UInteger retain_count() { return static_cast<NS::UInteger>(count_); }
  bool responds_to(SEL selector);
  Object* init() { return this; }

  [[nodiscard]] const ClassInfo& isa() const noexcept { return *isa_; }
  [[nodiscard]] bool is_alive() const noexcept { return count_ > 0; }

 protected:
  explicit Object(const char* class_name);
  /// Called when the count has become zero.
  virtual void dealloc() {}

 private:
  const ClassInfo* isa_;
  long count_ = 1;
};

/// The object behind a pointer that the program under test holds; null and a violation where it is none or
/// was released.
[[nodiscard]] Object* find_object(const void* pointer, std::string_view use);

/// The same, and of class T. `nil` says whether null may stand for nothing.
template <typename T>
[[nodiscard]] T* as(const void* pointer, std::string_view use, bool nil = false) {
  if (pointer == nullptr) {
    if (!nil) violate("{} was given nil", use);
    return nullptr;
  }
  Object* object = find_object(pointer, use);
  auto* out = dynamic_cast<T*>(object);
  if (object != nullptr && out == nullptr) violate("{} was given a {}", use, object->isa().name);
  return out;
}

/// Whether every object is being forgotten, in no order: references are then dropped and not given back.
[[nodiscard]] bool is_forgetting() noexcept;

/// A reference that an object of the stand-in keeps to another.
template <typename T>
class Strong {
 public:
  Strong() = default;
  explicit Strong(T* object) : object_(object) {
    if (object_ != nullptr) object_->retain();
  }
  ~Strong() { reset(); }
  Strong(const Strong& other) : Strong(other.object_) {}
  Strong(Strong&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Strong& operator=(Strong other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  void reset() {
    T* old = std::exchange(object_, nullptr);
    if (old != nullptr && !is_forgetting()) old->release();
  }
  [[nodiscard]] T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

/// What the program under test is given for an object. The count goes with it, or stays the stand-in's.
template <typename M>
[[nodiscard]] M* to_metal(Object* object) {
  return reinterpret_cast<M*>(object);
}

/// A new object, with a count of one.
template <typename T, typename... Args>
[[nodiscard]] T* make(Args&&... args) {
  return new T(std::forward<Args>(args)...);  // kept by the registry of objects
}

/// Objects whose count is not zero, as "MTLBuffer (2)".
[[nodiscard]] std::vector<std::string> live_objects();
/// Forgets every object. Those that live are the caller's to have complained of.
void forget_objects();

/// Adds methods to a class, which is made where it is not there. A method is a member function of the
/// stand-in's class; the function that answers takes and returns exactly what metal-cpp's member function
/// does, whose pointer is given with the selector.
template <typename T>
class ClassBuilder {
 public:
  explicit ClassBuilder(const char* name, const char* super = "NSObject") : info_(find(name, super)) {}

  template <auto Method, typename R, typename C, typename... A>
  ClassBuilder& method(const char* selector, R (C::*)(A...), int since = 0) {
    return add<Method, R, A...>(selector, since);
  }
  template <auto Method, typename R, typename C, typename... A>
  ClassBuilder& method(const char* selector, R (C::*)(A...) const, int since = 0) {
    return add<Method, R, A...>(selector, since);
  }
  /// The same where metal-cpp calls several methods alike: its type is given.
  template <auto Method, typename R, typename... A>
  ClassBuilder& add(const char* selector, int since = 0) {
    info_.methods[selector] = {reinterpret_cast<void*>(&answer<Method, R, A...>), since};
    return *this;
  }
  template <auto Function>
  ClassBuilder& class_method(const char* selector) {
    info_.class_methods[selector] = {reinterpret_cast<void*>(Function), 0};
    return *this;
  }
  /// +alloc, for a class that programs make objects of.
  ClassBuilder& allocates() {
    info_.class_methods["alloc"] = {reinterpret_cast<void*>(&alloc), 0};
    return *this;
  }

 private:
  static ClassInfo& find(const char* name, const char* super);
  static void* alloc(const void*, SEL) { return static_cast<Object*>(make<T>()); }
  template <auto Method, typename R, typename... A>
  static R answer(const void* self, SEL, A... arguments) {
    // The lookup has seen that the receiver is alive and of the class that has the method.
    auto* receiver = dynamic_cast<T*>(static_cast<Object*>(const_cast<void*>(self)));
    if constexpr (std::is_void_v<R>) {
      (receiver->*Method)(arguments...);
    } else {
      return static_cast<R>((receiver->*Method)(arguments...));
    }
  }

  ClassInfo& info_;
};

[[nodiscard]] ClassInfo& class_info(const char* name, const char* super);
template <typename T>
ClassInfo& ClassBuilder<T>::find(const char* name, const char* super) {
  return class_info(name, super);
}

/// The version of macOS that is played.
void set_macos(int version);
[[nodiscard]] int macos() noexcept;

// Each file of classes registers them here; called before main, by objc_lookUpClass.
void register_foundation();
void register_metal_device();
void register_metal_library();
void register_metal_commands();

}  // namespace lattice::gpu::stand_in
