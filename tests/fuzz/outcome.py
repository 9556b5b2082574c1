"""Define what may happen in a case, and run cases with a time limit."""

import random
import signal
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tercet.errors import TercetError

# A case takes seconds at most, on a busy machine as well; reading from a pipe that nobody writes to never ends.
SECONDS = 60


class Finding(AssertionError):
    """A case that ended wrong: a wrong value without a word, a lost file, an unclear message, or a hang."""


@dataclass(frozen=True)
class Area:
    """One fuzzer: `prepare` makes what all cases share, `case` runs one case and returns what it did."""

    name: str
    prepare: Callable[[Path], Any]
    case: Callable[[Any, "CaseRandom", Path], str]


@dataclass(frozen=True)
class Result:
    """One case: what was done, and how it ended (`right`, `refused` or `finding`)."""

    area: str
    seed: int
    ending: str
    text: str


class _Refused(Exception):
    pass


class _TimedOut(BaseException):
    """No `Exception`, because the library turns those of other libraries into refusals."""


def check_message(error: TercetError) -> None:
    """Raise `Finding` unless the message of a refusal is short and has no control characters."""
    text = str(error)
    if not text or len(text) > 1500:
        raise Finding(f"a message of {len(text)} characters: {text[:300]!r}")
    hidden = [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char != "\n"]
    if hidden:
        raise Finding(f"a message with control characters: {text!r}")


def refusable(work: Callable[[], Any]) -> Any:
    """Return the result of `work`. A refusal with a clear message ends the case, any other exception is a finding."""
    try:
        return work()
    except TercetError as error:
        check_message(error)
        raise _Refused(f"{type(error).__name__}: {error}") from None
    except Finding:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        raise Finding(f"unexpected {type(error).__name__} at {place}: {str(error)[:300]}") from error


class CaseRandom(random.Random):
    """The random generator of one case. It also keeps notes of what the case does, for the text of a finding."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note of what this case does."""
        self.notes.append(text)


def run_case(area: Area, state: Any, seed: int, folder: Path) -> Result:
    """Run one case in the new folder `folder`."""
    folder.mkdir(parents=True)
    rng = CaseRandom(f"{area.name} {seed}")
    try:
        with _time_limit():
            text = area.case(state, rng, folder)
    except _Refused as error:
        return Result(area.name, seed, "refused", f"{'; '.join(rng.notes)} → {error}")
    except (Finding, _TimedOut) as error:
        return Result(area.name, seed, "finding", f"{'; '.join(rng.notes)} → {error}")
    return Result(area.name, seed, "right", text)


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TimedOut(f"still running after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    # Again after some seconds, because Python discards an exception inside a destructor.
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
