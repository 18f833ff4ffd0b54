"""Making another task execute system calls for us. Nothing outside this package calls ptrace for control."""
