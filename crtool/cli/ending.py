"""How crtool ends: what is said about an error, and death by the same signal as another."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

from crtool import faults
from crtool.cli import entry
from crtool.cli.text import printable
from crtool.errors import CrtoolError, EnvironmentDiffers, InternalError, ObstacleError, UsageError
from crtool.kernel.interruption import forget, interrupt, is_put_off

__all__ = [
    "Interrupted",
    "Output",
    "complain",
    "complain_about_bug",
    "complain_about_usage",
    "end_by_signal",
    "end_like",
    "finish",
    "keep_log",
    "leave",
    "listen_no_more",
    "listen_to_signals",
    "warn",
    "write_log",
]


class Interrupted(BaseException):
    """A signal has asked crtool to end: what is under way is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def listen_to_signals() -> None:
    """Lets SIGINT, SIGTERM and SIGHUP end crtool, with all its ``finally`` blocks.

    What was ignored when crtool started stays ignored (nohup(1)).
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, entry.interrupted):
            signal.signal(number, _interrupt)


def listen_no_more() -> None:
    """From here on these signals end crtool by themselves."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == _interrupt:
            signal.signal(number, signal.SIG_DFL)


def finish() -> None:
    """From here on crtool does what little is left, whatever it is sent; also before now, and kept back.

    For the engine, which calls it when what was asked for is done for good.
    """
    faults.point("finish")
    forget()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == _interrupt:
            signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A thread that is in a call of crtool's is brought home first, unless somebody insists."""
    if _is_dropped(frame):
        sys.setprofile(lambda frame, *_: None if _is_dropped(frame) else _interrupt_now(number))
    else:
        interrupt(Interrupted(number), at_once=is_put_off())


def _interrupt_now(number: int) -> None:
    sys.setprofile(None)
    interrupt(Interrupted(number), at_once=is_put_off())


def _is_dropped(frame: FrameType | None) -> bool:
    """Whether Python would drop what is raised there: in the callback of a weak reference, as imports have one
    (_get_module_lock() in importlib/_bootstrap.py). The next call, or return from one, that is not in there will do.
    """
    while frame is not None:
        if frame.f_code.co_name == "cb" and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def say(line: str) -> None:
    """One line on standard error, if there is one and somebody reads it; what -vv has kept back comes before it."""
    write_log()
    try:
        click.echo(line, err=True)
    except OSError:
        pass  # nobody is there to be told


def keep_log(level: int) -> None:
    """Logs to standard error what is of *level* and above, but only when something else is said, and at the end.

    A line that is written at once would wait for whoever shows the terminal, who may be the one that crtool holds.
    """
    import logging  # noqa: PLC0415 - used by few calls
    import logging.handlers  # noqa: PLC0415

    written = logging.StreamHandler()
    written.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    kept = logging.handlers.MemoryHandler(sys.maxsize, flushLevel=sys.maxsize, target=written)
    logging.basicConfig(level=level, handlers=[kept])


def write_log() -> None:
    """Writes what :func:`keep_log` has kept."""
    if "logging" in sys.modules:
        for handler in sys.modules["logging"].getLogger().handlers:
            try:
                handler.flush()
            except OSError:
                pass  # nobody is there to be told


def warn(text: str) -> None:
    """Something that the user should know although all went well."""
    say(f"crtool: warning: {printable(text)}")


def complain(error: CrtoolError, *, trace: bool = False) -> int:
    """Says what went wrong, cause and remedy, of obstacles all of them; returns the exit status.

    What a user can meet never shows a trace; crtool's own failures do if *trace*.
    """
    if trace and isinstance(error, InternalError):
        _show_trace(error)
    if isinstance(error, ObstacleError):
        for obstacle in error.obstacles:
            _cause_and_remedy(str(obstacle), obstacle.remedy)
    else:
        _cause_and_remedy(error.message, error.remedy)
    return error.status


def _show_trace(error: Exception) -> None:
    import traceback  # noqa: PLC0415 - used by few calls

    traceback.print_exception(error)


def _cause_and_remedy(cause: str, remedy: str | None) -> None:
    say(f"crtool: {printable(cause)}")
    if remedy:
        say(f"  {printable(remedy)}")


def complain_about_usage(error: click.ClickException) -> int:
    """Says what is wrong with a command line, in our form: no capital, no full stop, what is near as the remedy."""
    text = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    text = text.rstrip(".").replace("\n", " ")
    context = getattr(error, "ctx", None)
    remedy = f"see {context.command_path if context else 'crtool'} --help"
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        remedy = f"did you mean {' or '.join(sorted(error.possibilities))}? {remedy}"
    return complain(UsageError(text[:1].lower() + text[1:], remedy))


def complain_about_bug(error: Exception, *, trace: bool) -> int:
    """One line about what nobody foresaw; the trace for those who asked for it."""
    if trace:
        _show_trace(error)
    if isinstance(error, OSError):
        about = f"{error.strerror or error}" + (f": {os.fsdecode(error.filename)}" if error.filename else "")
    else:
        about = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
    remedy = None if trace else "run it again with CRTOOL_DEBUG=1 and report what it prints"
    return complain(InternalError(about, remedy))


class Output:
    """Standard output. That it cannot be written is no failure of crtool's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes *text*; EnvironmentDiffers if that does not go."""
        with self._told():
            return self._stream.write(text)

    def flush(self) -> None:
        """Writes what was kept back; EnvironmentDiffers if that does not go."""
        with self._told():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """All the rest is the stream's own."""
        return getattr(self._stream, name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stdout = None  # or Python would try again at its end
            raise EnvironmentDiffers(
                f"standard output cannot be written: {error.strerror}", "make room there, or redirect it"
            ) from None


def end_like(status: int) -> int:
    """Ends by the signal, or returns the exit status, of a raw wait status (waitpid(2))."""
    if os.WIFSIGNALED(status):
        end_by_signal(os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def end_by_signal(number: int) -> NoReturn:
    """Dies by signal *number* itself, so that a shell, a loop in it, or a supervisor sees what really happened."""
    _last_words()
    # No second core file beside that of the program. 1 rather than 0: core(5) says that a core_pattern that is a
    # pipe ignores 0, and the kernel takes 1 (less than any core file has) as "none" in both cases.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if hard == 0 else 1, hard))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    # Still here: PID 1 of a namespace does not die by the default action of a signal (pid_namespaces(7)).
    os._exit(128 + number)


def leave(status: int) -> NoReturn:
    """Ends with an exit status, at once: Python would take itself apart, which takes half as long as starting it."""
    _last_words()
    os._exit(status)


def _last_words() -> None:
    write_log()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, CrtoolError, OSError, ValueError):
            pass  # closed, or its reader has gone
