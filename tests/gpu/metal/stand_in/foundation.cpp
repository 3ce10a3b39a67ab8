#include "gpu/metal/stand_in/foundation.h"

#include <cstring>

#include <IOKit/IOKitLib.h>

#include "gpu/metal/stand_in/machine.h"
#include "support/utf8.h"

namespace lattice::gpu::stand_in {
namespace {

class ProcessInfo final : public Object {
 public:
  ProcessInfo() : Object("NSProcessInfo") {}
  NS::String* system() { return autoreleased(fmt::format("Version {}.0 (stand-in)", macos())); }
};

void* process_info(const void*, SEL) {
  return make<ProcessInfo>()->autorelease();
}

}  // namespace

NS::String* String::init_with(const char* from, NS::StringEncoding encoding) {
  if (encoding != NS::UTF8StringEncoding) violate("a string is made of text in encoding {}", encoding);
  if (from == nullptr) {
    violate("a string is made of no text");
  } else {
    text = from;
  }
  return to_metal<NS::String>(this);
}

NS::String* autoreleased(std::string text) {
  return to_metal<NS::String>(make<String>(std::move(text))->autorelease());
}

NS::Array* Array::init_with(const NS::Object* const* objects, NS::UInteger count) {
  for (NS::UInteger i = 0; i < count; ++i) {
    if (auto* object = as<Object>(objects[i], "NSArray")) elements.emplace_back(object);
  }
  return to_metal<NS::Array>(this);
}

NS::Object* Array::object_at(NS::UInteger index) {
  if (index < elements.size()) return to_metal<NS::Object>(elements[index].get());
  violate("object {} of an array of {} was asked for", index, elements.size());
  return nullptr;
}

void set_error(NS::Error** error, long code, std::string description) {
  if (error == nullptr) return;
  *error = to_metal<NS::Error>(make<Error>(code, std::move(description))->autorelease());
}

NS::URL* Url::init_file(const NS::String* path_text) {
  if (auto* text = as<String>(path_text, "initFileURLWithPath:")) path = text->text;
  return to_metal<NS::URL>(this);
}

void register_foundation() {
  ClassBuilder<String>("NSString")
      .allocates()
      .add<&String::init_with, NS::String*, const char*, NS::StringEncoding>("initWithCString:encoding:")
      .method<&String::utf8>("UTF8String", &NS::String::utf8String);
  ClassBuilder<Array>("NSArray")
      .allocates()
      .add<&Array::init_with, NS::Array*, const NS::Object* const*, NS::UInteger>("initWithObjects:count:")
      .method<&Array::count>("count", &NS::Array::count)
      .add<&Array::object_at, NS::Object*, NS::UInteger>("objectAtIndex:");
  ClassBuilder<Error>("NSError")
      .method<&Error::code>("code", &NS::Error::code)
      .method<&Error::description>("localizedDescription", &NS::Error::localizedDescription);
  ClassBuilder<Url>("NSURL").allocates().method<&Url::init_file>("initFileURLWithPath:",
                                                                 &NS::URL::initFileURLWithPath);
  ClassBuilder<ProcessInfo>("NSProcessInfo")
      .class_method<&process_info>("processInfo")
      .method<&ProcessInfo::system>("operatingSystemVersionString",
                                    &NS::ProcessInfo::operatingSystemVersionString);
}

namespace {

// Core Foundation's objects are Foundation's; here two kinds are enough. Counted like all others.
class Number final : public Object {
 public:
  explicit Number(std::int32_t value) : Object("CFNumber"), value(value) {}
  std::int32_t value;
};
class Matching final : public Object {
 public:
  explicit Matching(std::string name) : Object("CFDictionary"), name(std::move(name)) {}
  std::string name;
};

constexpr io_service_t kGpuEntry = 77;
int open_entries = 0;

}  // namespace

int open_registry_entries() noexcept {
  return open_entries;
}

}  // namespace lattice::gpu::stand_in

using namespace lattice::gpu::stand_in;

extern "C" {

const CFAllocatorRef kCFAllocatorDefault = nullptr;

CFStringRef CFStringCreateWithCString(CFAllocatorRef, const char* text, CFStringEncoding encoding) {
  if (encoding != kCFStringEncodingUTF8) violate("a CFString is made of text in encoding {}", encoding);
  return reinterpret_cast<CFStringRef>(static_cast<Object*>(make<String>(text)));
}
CFTypeID CFGetTypeID(CFTypeRef object) {
  return as<Number>(object, "CFGetTypeID") != nullptr ? CFNumberGetTypeID() : CFTypeID{0};
}
CFTypeID CFNumberGetTypeID(void) {
  return 22;
}
Boolean CFNumberGetValue(CFNumberRef number, CFNumberType type, void* value) {
  auto* own = as<Number>(number, "CFNumberGetValue");
  if (own == nullptr || type != kCFNumberSInt32Type) return 0;
  std::memcpy(value, &own->value, sizeof own->value);
  return 1;
}
void CFRelease(CFTypeRef object) {
  if (auto* own = as<Object>(object, "CFRelease")) own->release();
}

CFMutableDictionaryRef IOServiceMatching(const char* name) {
  return reinterpret_cast<CFMutableDictionaryRef>(static_cast<Object*>(make<Matching>(name)));
}
io_service_t IOServiceGetMatchingService(mach_port_t, CFDictionaryRef matching) {
  auto* own = as<Matching>(matching, "IOServiceGetMatchingService");
  if (own == nullptr) return 0;
  const bool found = own->name == "AGXAccelerator" && machine().gpu_cores != 0;
  own->release();  // this function eats a count
  open_entries += found ? 1 : 0;
  return found ? kGpuEntry : 0;
}
CFTypeRef IORegistryEntryCreateCFProperty(io_registry_entry_t entry, CFStringRef key, CFAllocatorRef,
                                          IOOptionBits) {
  auto* name = as<String>(key, "IORegistryEntryCreateCFProperty");
  if (entry != kGpuEntry || name == nullptr || name->text != "gpu-core-count") return nullptr;
  return static_cast<Object*>(make<Number>(machine().gpu_cores));
}
kern_return_t IOObjectRelease(io_object_t object) {
  if (object != kGpuEntry || open_entries == 0) violate("IOObjectRelease was given what is no entry");
  --open_entries;
  return 0;
}

}  // extern "C"
