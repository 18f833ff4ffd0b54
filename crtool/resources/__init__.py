"""What a process has, one module per kernel thing, both halves side by side: the record, dump and restore."""
