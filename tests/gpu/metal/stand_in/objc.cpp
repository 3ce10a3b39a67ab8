#include "gpu/metal/stand_in/objc.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <unordered_map>

namespace lattice::gpu::stand_in {
namespace {

struct Runtime {
  std::vector<std::string> violations;
  std::map<std::string, std::unique_ptr<ClassInfo>, std::less<>> classes;
  std::set<std::string, std::less<>> selectors;
  std::unordered_map<const void*, std::unique_ptr<Object>> objects;
  std::vector<std::vector<Object*>> pools;
  int macos = 15;
  bool registered = false;
  bool forgetting = false;
};

// Metal-cpp looks classes up before main begins, in whatever order files are initialised.
Runtime& runtime() {
  static Runtime runtime;
  return runtime;
}

const char* name_of(SEL selector) {
  return reinterpret_cast<const char*>(selector);
}

const ClassInfo* find_class(const void* pointer) {
  for (const auto& [name, info] : runtime().classes) {
    if (info.get() == pointer) return info.get();
  }
  return nullptr;
}

class Pool final : public Object {
 public:
  Pool() : Object("NSAutoreleasePool"), depth_(runtime().pools.size()) { runtime().pools.emplace_back(); }

 protected:
  void dealloc() override {
    if (runtime().pools.size() != depth_ + 1) return violate("an autorelease pool ends before one inside it");
    const std::vector<Object*> released = std::move(runtime().pools.back());
    runtime().pools.pop_back();
    for (Object* object : released) object->release();
  }

 private:
  std::size_t depth_;
};

void register_classes() {
  if (std::exchange(runtime().registered, true)) return;
  ClassBuilder<Object>("NSObject", nullptr)
      .method<&Object::retain_count>("retainCount", &NS::Object::retainCount)
      .add<&Object::release, void>("release");
  // These return what they are sent to.
  ClassBuilder<Object>("NSObject", nullptr).add<&Object::responds_to, bool, SEL>("respondsToSelector:");
  ClassInfo& object = class_info("NSObject", nullptr);
  object.methods["retain"] = {reinterpret_cast<void*>(+[](void* self, SEL) -> void* {
                                static_cast<Object*>(self)->retain();
                                return self;
                              }),
                              0};
  object.methods["autorelease"] = {reinterpret_cast<void*>(+[](void* self, SEL) -> void* {
                                     static_cast<Object*>(self)->autorelease();
                                     return self;
                                   }),
                                   0};
  object.methods["init"] = {reinterpret_cast<void*>(+[](void* self, SEL) -> void* { return self; }), 0};
  ClassBuilder<Pool>("NSAutoreleasePool").allocates();
  register_foundation();
  register_metal_device();
  register_metal_library();
  register_metal_commands();
}

/// Answers messages that nobody should have sent.
void* answer_nothing() {
  return nullptr;
}

}  // namespace

void violate(std::string what) {
  runtime().violations.push_back(std::move(what));
}
std::vector<std::string> take_violations() {
  return std::exchange(runtime().violations, {});
}

const ClassInfo::Method* ClassInfo::find(std::string_view selector, bool of_class) const {
  for (const ClassInfo* info = this; info != nullptr; info = info->super) {
    const auto& all = of_class ? info->class_methods : info->methods;
    if (const auto found = all.find(selector); found != all.end()) {
      return found->second.since <= macos() ? &found->second : nullptr;
    }
  }
  return nullptr;
}

ClassInfo& class_info(const char* name, const char* super) {
  std::unique_ptr<ClassInfo>& info = runtime().classes[name];
  if (info == nullptr) {
    info = std::make_unique<ClassInfo>();
    info->name = name;
    if (super != nullptr) info->super = &class_info(super, nullptr);
  }
  return *info;
}

void set_macos(int version) {
  runtime().macos = version;
}
int macos() noexcept {
  return runtime().macos;
}

Object::Object(const char* class_name) : isa_(&class_info(class_name, "NSObject")) {
  runtime().objects[this].reset(this);
}

Object* Object::retain() {
  ++count_;
  return this;
}

void Object::release() {
  if (count_ == 0) return violate("{} was released once too often", isa_->name);
  if (--count_ == 0) dealloc();
}

Object* Object::autorelease() {
  if (runtime().pools.empty()) {
    violate("{} is autoreleased and there is no pool: it would leak", isa_->name);
    return this;
  }
  runtime().pools.back().push_back(this);
  return this;
}

bool Object::responds_to(SEL selector) {
  return isa_->find(name_of(selector), false) != nullptr;
}

Object* find_object(const void* pointer, std::string_view use) {
  const auto found = runtime().objects.find(pointer);
  if (found == runtime().objects.end()) {
    violate("{} was given what is no object", use);
    return nullptr;
  }
  if (!found->second->is_alive()) {
    violate("{} was given a {} that was released", use, found->second->isa().name);
    return nullptr;
  }
  return found->second.get();
}

std::vector<std::string> live_objects() {
  std::vector<std::string> out;
  for (const auto& [pointer, object] : runtime().objects) {
    if (object->is_alive()) out.push_back(fmt::format("{} ({})", object->isa().name, object->retain_count()));
  }
  return out;
}

void forget_objects() {
  // Those that end may release others.
  for (auto& [pointer, object] : runtime().objects) {
    if (!object->is_alive()) continue;
    violate("{} is never released ({} too few)", object->isa().name, object->retain_count());
  }
  runtime().forgetting = true;
  runtime().pools.clear();
  runtime().objects.clear();
  runtime().forgetting = false;
}

bool is_forgetting() noexcept {
  return runtime().forgetting;
}

/// What objc_msgSend asks: the function that answers `selector`.
extern "C" void* lattice_stand_in_lookup(const void* receiver, SEL selector) {
  const char* name = name_of(selector);
  const auto nothing = reinterpret_cast<void*>(&answer_nothing);
  if (receiver == nullptr) {
    violate("{} was sent to nil", name);
    return nothing;
  }
  const ClassInfo* info = find_class(receiver);
  const bool of_class = info != nullptr;
  if (!of_class) {
    const auto found = runtime().objects.find(receiver);
    if (found == runtime().objects.end()) {
      std::fprintf(stderr, "stand-in: %s was sent to what is no object\n", name);
      std::abort();
    }
    info = &found->second->isa();
    if (!found->second->is_alive()) {
      violate("{} was sent to a {} that was released", name, info->name);
      return nothing;
    }
  }
  const ClassInfo::Method* method = info->find(name, of_class);
  if (method == nullptr) {
    violate("{} {} has no method {}", of_class ? "class" : "a", info->name, name);
    return nothing;
  }
  return method->function;
}

}  // namespace lattice::gpu::stand_in

using namespace lattice::gpu::stand_in;

extern "C" {

Class objc_lookUpClass(const char* name) {
  register_classes();
  const auto found = runtime().classes.find(name);
  return found == runtime().classes.end() ? nullptr : reinterpret_cast<Class>(found->second.get());
}
objc_object* objc_getProtocol(const char* /*name*/) {
  return nullptr;
}
SEL sel_registerName(const char* name) {
  return reinterpret_cast<SEL>(const_cast<char*>(runtime().selectors.emplace(name).first->c_str()));
}
const char* sel_getName(SEL selector) {
  return name_of(selector);
}

// Metal-cpp makes blocks in functions that are not called here.
void* _NSConcreteStackBlock[32] = {};
void _Block_object_assign(void* /*to*/, const void* /*from*/, int /*flags*/) {
  violate("a block is copied, which is not played");
}
void _Block_object_dispose(const void* /*object*/, int /*flags*/) {
  violate("a block is disposed of, which is not played");
}

}  // extern "C"
