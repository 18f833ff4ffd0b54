"""System V IPC: one file for each kind of object, one for what belongs to processes."""
