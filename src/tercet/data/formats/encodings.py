"""Find the encoding of a text file: UTF-8, UTF-16 and UTF-32 by their bytes, cp1252 if nothing else is plausible."""

import codecs
import logging
import re
from pathlib import Path

from tercet.data.formats.compressed import open_binary
from tercet.errors import DataError

logger = logging.getLogger(__name__)

# The first bytes of a file, and its encoding. UTF-32 comes first, because its mark starts with that of UTF-16.
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_BINARY = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file (such as .xlsx)",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"\xd0\xcf\x11\xe0": "a file of old Office (such as .xls)",
    b"%PDF-": "a PDF file",
    b"\x93NUMPY": "a NumPy array",
    b"SQLite format 3\x00": "an SQLite database",
    b"\xfd7zXZ\x00": "an xz file",
    b"BZh91AY&SY": "a bzip2 file",
    b"(\xb5/\xfd": "a Zstandard file",
}
_CHECKED_BYTES = 4096
_BLOCK = 1 << 20
# The number of lines with other bytes than ASCII that decide about the encoding.
_LINES = 2000
# Letters that words of Western Europe have. Others, such as ø and ý, stand where cp1250 has letters of Czech.
_WESTERN = frozenset("àâäáãåæçèéêëìíîïñòóôöõùúûüßœÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕÙÚÛÜŒ")
_SIGNS = frozenset("‘’‚“”„–—…•€£¥©®°™«»·§¡¿\xa0ºª´¨¢")
_SHOWN = ("cp1252", "cp1250", "cp1251", "gb18030", "shift_jis")
_WORD = re.compile(rb"[^\s,;\t\"]*[\x80-\xff][^\s,;\t\"]*")


def find_encoding(path: Path, given: str | None = None) -> str:
    """Return the name of the encoding of a text file, for `open`. A guess is logged.

    Args:
        path: the file, which may be compressed.
        given: the encoding that the user has named; None finds it.

    Raises:
        DataError: the file is no text file, `given` is unknown, or several encodings are possible.
    """
    if given is not None:
        return check_encoding(given)
    found, reason = guess_encoding(path)
    if reason is not None:
        logger.info(f"{path}: read as {found}{reason}; for another encoding, pass encoding")
    return found


def check_encoding(given: str) -> str:
    """Return the name of an encoding for `open`, or raise `DataError` if it is unknown."""
    try:
        return "utf-8-sig" if codecs.lookup(given).name == "utf-8" else given
    except LookupError:
        raise DataError(
            f"encoding must be a name such as 'utf-8', 'cp1252' or 'utf-16', got {given!r}, which is unknown"
        ) from None


def guess_encoding(path: Path) -> tuple[str, str | None]:
    """Return the encoding of a text file, and the reason if it is not UTF-8.

    Raises:
        DataError: the file is no text file, or several encodings are possible.
    """
    with open_binary(path) as file:
        start = file.read(_CHECKED_BYTES)
    check_binary(start, str(path))
    if (found := unicode_of(start)) is not None:
        return found, ""
    invalid = _first_invalid(path)
    if invalid is None:
        return "utf-8-sig", None
    if b"\x00" in start:  # No text in an encoding of one region has zero bytes.
        raise _no_text(str(path), "a binary file", "; if it is text, pass encoding, such as encoding='utf-16-le'")
    why = f"it is not UTF-8: byte {invalid[0]:#04x} on line {invalid[1]}"
    lines = _lines_with_other_bytes(path)
    if _is_western(lines):
        return "cp1252", f" (Western European), because {why}"
    raise DataError(
        f"{path} is not UTF-8: byte {invalid[0]:#04x} on line {invalid[1]}, and several encodings are possible"
        f"{_readings(lines)}; pass encoding, such as encoding='cp1252'"
    )


def unicode_of(start: bytes) -> str | None:
    """Return "utf-16" or "utf-32", with the byte order if there is no mark; None if the first bytes are of neither."""
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    zeros = start.count(0)
    if zeros * 3 <= len(start):
        return None
    # ASCII characters have one zero byte in UTF-16 and three in UTF-32.
    order = "be" if start[:1] == b"\x00" else "le"
    name = f"utf-32-{order}" if zeros * 3 > 2 * len(start) else f"utf-16-{order}"
    return name if _is_text(start, name) else None


def _is_text(start: bytes, encoding: str) -> bool:
    """Return whether the first bytes of a file are text in the encoding. Numbers in a binary file have zero bytes, too.

    The last character may be cut. Text without a mark has line breaks and tabs, but no other control characters.
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\v\f" for character in text)


def check_binary(start: bytes, source: str) -> None:
    """Raise `DataError` if the first bytes of a file are those of no text file."""
    found = next((name for signature, name in _BINARY.items() if start.startswith(signature)), None)
    if found is None and start and not start.strip(b"\x00"):
        found = "full of zero bytes"
    if found is not None:
        raise _no_text(source, found)


def _no_text(source: str, found: str, more: str = "") -> DataError:
    return DataError(
        f"{source} is {found}, not a text file; unpack or convert it, or give it the right file extension{more}"
    )


def invalid_byte(path: Path, encoding: str) -> DataError:
    """Return the error for a file that is not in the encoding that the user has named."""
    place = ""
    if encoding == "utf-8-sig" and (found := _first_invalid(path)) is not None:
        place = f": byte {found[0]:#04x} on line {found[1]}"
    return DataError(f"{path} is not in the encoding {encoding.removesuffix('-sig')}{place}; pass another encoding")


def _first_invalid(path: Path) -> tuple[int, int] | None:
    """Return the first byte that is not valid UTF-8, and the number of its line; None if there is none."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with open_binary(path) as file:
        rest = b""
        while True:
            block = file.read(_BLOCK)
            data = rest + block
            try:
                decoder.decode(data, final=not block)
            except UnicodeDecodeError as error:
                return error.object[error.start], line + error.object.count(b"\n", 0, error.start)
            if not block:
                return None
            # Bytes of a character that is not complete are decoded again with the next block.
            rest = decoder.getstate()[0]
            decoder.reset()
            line += data.count(b"\n")


def _lines_with_other_bytes(path: Path) -> list[bytes]:
    lines = []
    with open_binary(path) as file:
        for line in file:
            if not line.isascii():
                lines.append(line)
                if len(lines) == _LINES:
                    break
    return lines


def _is_western(lines: list[bytes]) -> bool:
    """Return whether cp1252 is the only plausible encoding.

    Other letters than ASCII are then single ones among ASCII letters, as in "café". In Cyrillic, Greek or Chinese text
    they come in runs; in Polish or Czech text some become signs or rare letters inside of words.
    """
    good = doubtful = 0
    for line in lines:
        try:
            text = line.decode("cp1252")
        except UnicodeDecodeError:
            return False
        for place, letter in enumerate(text):
            if letter.isascii():
                continue
            before, after = text[place - 1 : place], text[place + 1 : place + 2]
            inside = _is_ascii_letter(before) and _is_ascii_letter(after)
            if letter in _SIGNS:
                # A sign between letters is a letter in another encoding, but an apostrophe or a dash is none.
                fine = not inside or letter in "‘’“”–—…·\xa0"
            elif letter in _WESTERN:
                neighbours = [c for c in (before, after) if c.isalpha()]
                fine = not neighbours or any(map(_is_ascii_letter, neighbours))
                if letter in "õÕ":  # In Hungarian cp1250 it is ő. Portuguese has "õe".
                    fine = fine and after in "eE"
            else:
                fine = False
            good, doubtful = good + fine, doubtful + (not fine)
    return good > 0 and doubtful * 20 <= good


def _is_ascii_letter(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _readings(lines: list[bytes]) -> str:
    """Return one word of the file as several encodings read it, for a message."""
    words = sorted({word for line in lines[:50] for word in _WORD.findall(line)}, key=len, reverse=True)
    shown: list[tuple[str, str]] = []
    for encoding in _SHOWN if words else ():
        try:
            word = words[0][:24].decode(encoding)
        except UnicodeDecodeError:
            continue
        if word.isprintable() and all(word != other for other, _ in shown):
            shown.append((word, encoding))
    return f" ({', '.join(f'{word!r} in {encoding}' for word, encoding in shown)})" if shown else ""
