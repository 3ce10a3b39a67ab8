#ifndef LATTICE_EXPORT_H
#define LATTICE_EXPORT_H

/* Marks what a shared liblattice shows; everything else stays inside. */
#if defined(__GNUC__)
#define LATTICE_API __attribute__((visibility("default")))
#else
#define LATTICE_API
#endif

#endif
