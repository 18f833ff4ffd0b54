"""The image: one file that holds a checkpoint, specified in docs/image-format.md.

:mod:`~crtool.image.codec` turns records (frozen dataclasses) into bytes and back;
:mod:`~crtool.image.layout` gives page-aligned places in the data area while the records are made;
:mod:`~crtool.image.writer` and :mod:`~crtool.image.reader` are the file itself, bytes and checksums,
which know nothing of what the records mean.
"""
