"""The tests of crtool."""
