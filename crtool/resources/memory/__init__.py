"""Address spaces: mappings, pages, the bounds that the kernel keeps, the vDSO."""
