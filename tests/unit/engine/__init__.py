"""Tests of crtool.engine that touch no other process."""
