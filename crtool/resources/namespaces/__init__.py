"""Namespaces that processes of a tree have made for themselves (namespaces(7)), apart from PID namespaces."""
