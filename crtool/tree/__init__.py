"""The process tree: how it was, in what order it is born again, and the births themselves."""
