"""The files of /proc: text in, frozen dataclass out; one module per file.

:mod:`.read` is the only one that opens them; :mod:`.tasks`, :mod:`.fds`, :mod:`.ns` and :mod:`.map_files` list folders
and follow links through it. All others are pure: ``maps.parse(read(pid, "maps"))``.
"""
