"""Turn a configuration file's path into its text, and refuse what is no text file of a sane size."""

from __future__ import annotations

import codecs
import re
import stat
from pathlib import Path

from forgeml.errors import ConfigError, nearest

MAX_BYTES = 1_000_000

# Tokens of the hub, and passwords in addresses. No message may show them, whatever else it is about. A password may
# hold what an address does not allow in it, `@`, `/` and `:`, so it lasts until the last `@` before the query; digits
# up to a `/` are a port. In a query it is known by its name.
TOKEN = r"hf_[A-Za-z0-9]{20,}"
PASSWORD = r"(?<=://)[^/\s:\[]*:(?!\d{1,5}[/?#])(?:(?!\?\w+=)\S)+(?=@)"
_IN_QUERY = r"(?i:(?P<name>[?&;][\w.-]*(?:password|passwd|pwd|token|secret|key)=)[^&\s]+)"

_FOREIGN = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}


def hide_secrets(text: str) -> str:
    """The text with tokens and passwords replaced by stars, of the same length so that columns still fit."""

    def stars(found: re.Match[str]) -> str:
        name = found["name"] or ""
        return name + "*" * (len(found.group()) - len(name))

    return re.sub(f"{TOKEN}|{PASSWORD}|{_IN_QUERY}", stars, text)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; a byte order mark and any kind of line end are fine.

    Raises:
        ConfigError: It is missing, no regular file, too large, not readable or not UTF-8 text.
    """
    data = _read_bytes(path)
    text = _decode(data.removeprefix(codecs.BOM_UTF8), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_bytes(path: Path) -> bytes:
    try:
        _check_kind(path)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError.at(str(path), f"cannot be read: {reason}", "check the path and the rights to it") from error
    if len(data) > MAX_BYTES:
        raise ConfigError.at(str(path), f"larger than {MAX_BYTES:,} bytes", "name a file with settings, not with data")
    return data


def _check_kind(path: Path) -> None:
    """Look before opening: to open a pipe would wait for its other end, perhaps for ever."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        inside = path / "config.yaml"
        fix = f"name the file in it: {inside}" if inside.is_file() else "name a YAML file"
        raise ConfigError.at(str(path), "is a folder, a file is wanted", fix)
    if not stat.S_ISREG(mode):
        raise ConfigError.at(str(path), "is a pipe or a device, a regular file is wanted", "name a YAML file")


def _missing(path: Path) -> ConfigError:
    if path.is_symlink():
        return ConfigError.at(str(path), f"is a link to {path.readlink()}, which does not exist", "mend the link")
    folder = path.parent
    if not folder.is_dir():
        return ConfigError.at(str(path), f"does not exist, nor does the folder {folder}", "check the path")
    names = [file.name for file in folder.iterdir() if file.suffix in {".yaml", ".yml"}]
    alike = nearest(path.name, names)
    fix = f"did you mean {folder / alike}?" if alike else f"check the path; the folder looked in is {folder.resolve()}"
    return ConfigError.at(str(path), "does not exist", fix)


def _decode(data: bytes, path: Path) -> str:
    fix = "save the file as UTF-8 text"
    for mark, encoding in _FOREIGN.items():
        if data.startswith(mark):
            raise ConfigError.at(str(path), f"is {encoding}, as the mark at byte 0 says; UTF-8 is wanted", fix)
    if (place := data.find(b"\0")) >= 0:
        raise ConfigError.at(_line(path, data, place), f"is no text: byte {place} is NUL", fix)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}"
        raise ConfigError.at(_line(path, data, error.start), what, fix) from error


def _line(path: Path, data: bytes, place: int) -> str:
    return f"{path}:{data.count(10, 0, place) + 1}"
