#ifndef LATTICE_TESTS_CAPI_USE_FROM_C_H
#define LATTICE_TESTS_CAPI_USE_FROM_C_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the model at `path` and does with it what a C program would. 1, or 0 with what went wrong in
 * `problem`. */
int lattice_use_from_c(const char* path, char* problem, size_t size);

#ifdef __cplusplus
}
#endif

#endif
