// The functions that send messages. Callers cast them to the type of the method that they call.
#pragma once

#include <objc/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

void objc_msgSend(void);
#if defined(__x86_64__)
void objc_msgSend_fpret(void);
void objc_msgSend_stret(void);
#endif

#ifdef __cplusplus
}
#endif
