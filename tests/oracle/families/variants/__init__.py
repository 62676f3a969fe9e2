"""One module a group of families; each has VARIANTS, a tuple of `Variant`."""
