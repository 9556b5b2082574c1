"""Guard standard output and standard error. Everything that a command prints goes through these streams.

`safe_streams` replaces `sys.stdout` and `sys.stderr` while a command runs:

- No control code of a file, a label, a model name or an error message reaches the terminal.
- A character that the encoding of standard output does not have is replaced instead of ending the command.
- A reader that closes its end of the pipe (`| head`) ends the printing, not the command. So the files are written.
- If standard error cannot be written, notes and progress bars are lost, and nothing else.
- If standard output cannot be written, for example because a disk is full, the command ends with an error.
- Data for a file or a pipe (`write_data`) are written in UTF-8, without any of these replacements.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tercet._display import for_terminal

# tqdm moves between several bars with line feeds and this sequence only.
_CURSOR_UP = "\x1b[A"


class SafeStream:
    """A text stream that replaces control codes and does not raise errors of writing.

    Attributes:
        failure: the error that ended the writing, other than a closed pipe; None if there was none.
    """

    def __init__(self, stream: TextIO, *, styled: bool) -> None:
        """Wrap a stream; `styled` is whether to keep colours."""
        self.failure: OSError | None = None
        self._stream, self._styled, self._closed = stream, styled, False

    def write(self, text: str) -> int:
        """Write the text without control codes."""
        moves = not text.replace(_CURSOR_UP, "").strip("\n")
        safe = text if moves else for_terminal(text, styled=self._styled)
        self._attempt(lambda: self._stream.write(safe))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        self._attempt(self._stream.flush)

    @property
    def is_closed(self) -> bool:
        """True if nothing can be written any more: the reader has closed its end of the pipe, or there was an error."""
        return self._closed

    def write_data(self, data: bytes) -> int:
        """Write bytes as they are into a file or a pipe, and at once. A terminal gets them as text, like `write`."""
        if self._stream.isatty():
            self.write(data.decode())
            self.flush()
        else:
            self.flush()
            self._attempt(lambda: self._write_bytes(data))
        return len(data)

    def _write_bytes(self, data: bytes) -> None:
        self._stream.buffer.write(data)
        self._stream.buffer.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, action: Any) -> None:
        if self._closed:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            self._closed = True
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                self.failure = error
            self._discard_the_rest()

    def _discard_the_rest(self) -> None:
        """Redirect the file descriptor to the null device, because Python flushes the buffer again when it exits."""
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


class DataOutput:
    """Guarded standard output as a binary file, for data. See `SafeStream.write_data`."""

    @property
    def is_closed(self) -> bool:
        """True if nothing can be written any more."""
        return self._stream.is_closed

    @property
    def _stream(self) -> SafeStream:
        assert isinstance(sys.stdout, SafeStream)
        return sys.stdout

    def write(self, data: bytes) -> int:
        """Write bytes at once."""
        return self._stream.write_data(data)


@contextmanager
def safe_streams() -> Iterator[SafeStream]:
    """Guard standard output and standard error inside the `with` block. Yield the guarded standard output.

    A process can be started without these streams (`>&-`). What it prints to them is discarded.
    """
    originals = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as null:
        stdout = SafeStream(_replacing(originals[0] or null), styled=True)
        stderr = SafeStream(_replacing(originals[1] or null), styled=False)
        sys.stdout, sys.stderr = stdout, stderr
        try:
            yield stdout
        finally:
            stdout.flush()
            stderr.flush()
            sys.stdout, sys.stderr = originals


def _replacing(stream: TextIO) -> TextIO:
    """Make the stream replace the characters that its encoding does not have."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream
