"""The command line on top of an engine that is not there."""
