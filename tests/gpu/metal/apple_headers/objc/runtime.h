// What metal-cpp asks of the Objective-C runtime's header, declared as its documentation has it.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct objc_class* Class;
typedef struct objc_selector* SEL;
struct objc_object {
  Class isa;
};
typedef struct objc_object* id;

Class objc_lookUpClass(const char* name);
struct objc_object* objc_getProtocol(const char* name);
SEL sel_registerName(const char* name);
const char* sel_getName(SEL selector);

#ifdef __cplusplus
}
#endif
