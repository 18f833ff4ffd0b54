"""The timers of a process: the three that every process has, and those that it has made."""
