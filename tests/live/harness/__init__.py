"""How the tests find, build, start, checkpoint, restart and end the specimens of ``tests/specimens``."""
