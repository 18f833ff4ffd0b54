"""The command line: one module per verb, on top of the Python API in :mod:`crtool`.

``main`` runs a command and decides how the process ends; ``group`` knows the verbs without importing them;
``options`` holds what several verbs share; ``ending`` and ``statuses`` say what errors look like and which exit status
they have; ``text`` words sizes and times; ``views`` is the only user of rich.
"""
