"""The bytes of a data file as text: which encoding they are in, and where they are not."""

from __future__ import annotations

import codecs
import encodings.aliases
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from forgeml.data.reading.opening import BLOCK, Opened, open_file
from forgeml.errors import ConfigError, DataError, nearest

DEFAULT = "utf-8"
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; the longer ones first, as one begins like a shorter one."""
WIDE = ("utf-16", "utf-32")
"""Encodings in which ordinary text holds NUL bytes."""
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Control characters of ASCII other than tab and line ends; those above it are left in, as they are parts of words that
were decoded wrongly long ago, and texts to be predicted have them too."""


def check_encoding(encoding: str | None) -> None:
    """Refuse a name that is that of no encoding of text.

    Raises:
        ConfigError: it is not, with the nearest that there is.
    """
    try:
        "".encode(encoding or DEFAULT)
        codecs.getincrementaldecoder(encoding or DEFAULT)().decode(b"", final=True)
    except (LookupError, UnicodeError, ValueError) as error:
        # Those that end so turn bytes into other bytes.
        pairs = [pair for pair in encodings.aliases.aliases.items() if not pair[1].endswith("_codec")]
        known = {name.replace("_", "-") for pair in pairs for name in pair}
        close = nearest(encoding or "", sorted(known))
        fix = f"did you mean {close}?" if close else "name one such as utf-8, utf-16, cp1252 or gb18030"
        raise ConfigError.at("data.encoding", f"no encoding {encoding!r}", fix) from error


@contextmanager
def as_text(opened: Opened, encoding: str | None) -> Iterator[TextIOWrapper]:
    """The content as text with its line ends as they are, without a byte order mark.

    Decoding is strict: what does not fit raises a UnicodeError while it is read; `undecodable` then has the words.

    Raises:
        DataError: it is not text, or in another encoding by its first bytes.
    """
    head = opened.head()
    chosen = _codec(head, encoding)
    if not chosen.startswith(WIDE):
        _check_narrow(opened, head)
    text = TextIOWrapper(opened.content, encoding=chosen, newline="")
    try:
        yield text
    finally:
        # The content is closed by who has opened it.
        text.detach()


def undecodable(path: Path, encoding: str | None) -> DataError:
    """The error with the place of the first byte that does not fit.

    The reader itself knows only the place in its buffer, so the file is read again.
    """
    with open_file(path) as opened:
        name = _codec(opened.head(), encoding).removesuffix("-sig")
        decoder = codecs.getincrementaldecoder(name)()
        before, line, last = 0, 1, False
        while not last:
            block = opened.content.read(BLOCK)
            last = not block
            try:
                line += decoder.decode(block, last).count("\n")
            except UnicodeDecodeError as error:
                # Bytes of a letter that was cut in two come again with the next block.
                start = before + len(block) - len(error.object) + error.start
                text = error.object[: error.start].decode(name, errors="ignore")
                return _at_byte(f"{path}:{line + text.count(chr(10))}", error, start, encoding)
            except UnicodeError:
                break
            before += len(block)
    return DataError.at(f"{path}:{line}", f"not {encoding or 'UTF-8'}", "set data.encoding to the one it is in")


def _at_byte(where: str, error: UnicodeDecodeError, offset: int, encoding: str | None) -> DataError:
    bad = error.object[error.start : error.start + 1]
    what = f"not {encoding or 'UTF-8'}: byte 0x{bad.hex()} at offset {offset} ({error.reason})"
    if encoding:
        return DataError.at(where, what, "set data.encoding to the encoding that the file is in, or mend the byte")
    guess = bad.decode("cp1252", errors="ignore")
    if guess and guess.isprintable():
        what += f"; in Windows-1252 it is {guess!r}"
    fix = "set data.encoding: cp1252 if that reads well, or name the encoding that the file is in; or save it as UTF-8"
    return DataError.at(where, what, fix)


def _codec(head: bytes, encoding: str | None) -> str:
    """Python's name of the codec, one that takes a byte order mark away if there is one."""
    name = codecs.lookup(encoding or DEFAULT).name
    if name == DEFAULT:
        return "utf-8-sig"
    wide = name[:6]
    if wide not in WIDE:
        return name
    if any(head.startswith(mark) and of == wide for mark, of in MARKS.items()):
        return wide
    if name == wide:
        # Without a mark the codec would take this machine's order.
        return f"{name}-be" if head.startswith(b"\0") else f"{name}-le"
    return name


def _check_narrow(opened: Opened, head: bytes) -> None:
    """Refuse bytes that are no text in an encoding without NULs."""
    for mark, name in MARKS.items():
        if head.startswith(mark):
            raise DataError.at(str(opened.path), f"it is encoded in {name.upper()}", f"set data.encoding: {name}")
    if b"\0" not in head:
        return
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        if not any(head[first::2]) and all(head[1 - first :: 2]):
            what = f"NUL bytes at its beginning, as in {name.upper()}"
            raise DataError.at(str(opened.path), what, f"set data.encoding: {name}")
    raise DataError.at(str(opened.path), "NUL bytes at its beginning: it is no text", "save the file as UTF-8 text")
