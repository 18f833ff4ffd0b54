"""Numbers and structures of the kernel's interface. No behaviour."""
