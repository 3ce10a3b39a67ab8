// Of no C library: which functions would be missing in one.
