"""A batch: system calls, as data, that another task is to make.

A batch is built first and run later, by a :class:`crtool.puppet.puppet.Puppet`, in one stop of the
task for as many calls as fit into its scratch mapping::

    batch = Batch()
    old = batch.buffer(32)
    call = batch.call("getitimer", ITIMER_REAL, old)
    puppet.run(batch)
    print(call.value, old.read())

An argument is an int (also negative), bytes-like data (copied into scratch; the call gets its
address), a :class:`Buffer` (scratch memory that the call reads or writes; the call gets its address),
or an earlier :class:`Call` (the call gets what that one returned). A call is *must* by default: when
it fails, the rest of the batch is not run and ``puppet.run`` raises RemoteCallError. A call with
``must=False`` may fail; then its ``errno`` says how.

This module is data only: it makes no system call and knows no CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["Argument", "Batch", "Buffer", "Call", "Series"]


class Buffer:
    """Scratch memory of *size* bytes, aligned to 16, with *content* in it when the batch starts.

    After the run, :meth:`read` gives the bytes that the calls left in it. A buffer may hold the
    address of another one (an iovec, say): ``pointers`` maps byte offsets within this buffer to the
    buffers whose addresses are written there before the run.
    """

    __slots__ = ("_content", "_start", "pointers", "size")

    def __init__(self, size: int, content: bytes = b"", pointers: dict[int, Buffer] | None = None) -> None:
        if len(content) > size:
            raise ValueError(f"{len(content)} bytes do not fit into a buffer of {size}")
        self.size = size
        self._content, self._start = bytes(content), 0
        self.pointers = pointers or {}

    def initial(self) -> bytes:
        """What is in the buffer now: its content, filled up with zero bytes to its size."""
        return self._content[self._start : self._start + self.size].ljust(self.size, b"\0")

    def fill(self, content: bytes, start: int) -> None:
        """Takes what the run has left in the scratch memory: *content*, of which it is what begins at *start*."""
        self._content, self._start = content, start

    def read(self) -> bytes:
        """The bytes after the run, all *size* of them."""
        return self.initial()


class Call:
    """One system call of a batch, by name, and after the run what it returned."""

    __slots__ = ("_result", "args", "label", "must", "name")

    def __init__(self, name: str, args: tuple[Argument, ...], must: bool, label: str) -> None:
        self.name = name
        self.args = args
        self.must = must
        self.label = label
        self._result: int | None = None

    def finish(self, result: int) -> None:
        """Takes the raw return value of the kernel: −4095…−1 is an error."""
        self._result = result

    @property
    def done(self) -> bool:
        """Whether the call was made."""
        return self._result is not None

    @property
    def raw(self) -> int:
        """The kernel's return value, as a signed 64-bit number."""
        if self._result is None:
            raise RuntimeError(f"{self.name} has not been run")
        return self._result

    @property
    def errno(self) -> int:
        """The error number, or 0 if the call succeeded."""
        return -self.raw if -4095 <= self.raw < 0 else 0

    @property
    def ok(self) -> bool:
        """Whether the call was made and succeeded."""
        return self._result is not None and self.errno == 0

    @property
    def value(self) -> int:
        """The return value of a call that succeeded; OSError if it failed."""
        if self.errno:
            raise OSError(self.errno, f"{self.name} failed")
        return self.raw

    def __repr__(self) -> str:
        outcome = "not run" if self._result is None else self._result
        return f"<Call {self.name} {self.label} = {outcome}>"


class Series(Call):
    """The same call several times, of which each argument grows from one time to the next.

    One object for the dozens of calls that ask for a table, entry by entry. Its result is that of the last call, or of
    the first that failed if it is *must*. No later call can use it.
    """

    __slots__ = ("count", "steps")

    def __init__(
        self, name: str, args: tuple[Argument, ...], must: bool, label: str, count: int, steps: tuple[int, ...]
    ) -> None:
        super().__init__(name, args, must, label)
        self.count = count
        self.steps = steps

    def finish_all(self, results: Sequence[int]) -> None:
        """Takes the raw return values of all its calls; those behind one that ended the batch do not count."""
        bad = next((result for result in results if -4095 <= result < 0), None) if self.must else None
        self.finish(results[-1] if bad is None else bad)


Argument = int | bytes | Buffer | Call


class Batch:
    """System calls in the order in which the puppet will make them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call(self, name: str, *args: Argument, must: bool = True, label: str = "") -> Call:
        """Appends a call; *label* is shown in listings and errors."""
        if len(args) > 6:
            raise ValueError(f"{name}: a system call has at most 6 arguments")
        call = Call(name, tuple(args), must, label)
        self.calls.append(call)
        return call

    def series(
        self, count: int, name: str, *args: Argument, steps: tuple[int, ...], must: bool = True, label: str = ""
    ) -> Series:
        """Appends *count* calls: *args* are those of the first, *steps* what is added to each of them every time."""
        if len(args) > 6 or len(steps) != len(args):
            raise ValueError(f"{name}: {len(args)} arguments and {len(steps)} steps")
        series = Series(name, tuple(args), must, label, count, steps)
        self.calls.append(series)
        return series

    def buffer(self, size: int, content: bytes = b"", pointers: dict[int, Buffer] | None = None) -> Buffer:
        """Scratch memory for the calls of this batch."""
        return Buffer(size, content, pointers)

    def data(self, content: bytes, pointers: dict[int, Buffer] | None = None) -> Buffer:
        """Scratch memory that holds *content*."""
        return Buffer(len(content), content, pointers)

    def path(self, path: bytes | str) -> Buffer:
        """A NUL-terminated path in scratch memory."""
        raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        return self.data(raw + b"\0")

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)
