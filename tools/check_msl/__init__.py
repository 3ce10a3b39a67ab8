"""Whether Metal kernels are plain MSL: what Metal 3.1 gives a compute kernel, address spaces included, and nothing else."""
