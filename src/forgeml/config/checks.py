"""What no schema can say of a value: texts that are refused anywhere, folders that are refused, and odd numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from forgeml.config.opening import PASSWORD, TOKEN, hide_secrets
from forgeml.config.reading import KeyPath, parse_value
from forgeml.config.settings import all_settings, plain
from forgeml.config.wording import Origins, show
from forgeml.errors import Problem

# Texts that are refused wherever they stand: the pattern, what is wrong with it, what to do instead.
FORBIDDEN: tuple[tuple[str, str, str], ...] = (
    (
        TOKEN,
        "a hub token is written here; this file gets copied and saved",
        "delete it here, set the environment variable HF_TOKEN instead, and have the hub replace this token",
    ),
    (
        f"^https?:.*{PASSWORD}",
        "a password is written in this address; this file gets copied and saved",
        "delete it here, set the environment variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
    ),
    (
        r"\$\{\w+\}|^\$[A-Z_][A-Z0-9_]*$",
        "environment variables are not replaced here, found {found}",
        'write the value itself, or let the shell do it on the command line: --section.key "$NAME"',
    ),
    (
        r"[\x00-\x1f\x7f-\x9f]",
        "a line break, a tab or another control character is in this text",
        "write it on one line and in single quotes, in which a backslash is only a backslash: 'C:\\new'",
    ),
    (
        r"[\ud800-\udfff]",
        "this is no UTF-8 text",
        "convert it, for instance with iconv -t UTF-8",
    ),
)

# Numbers that are allowed and hardly ever meant: the setting, the most that is usual, what tends to happen above it.
ODD: tuple[tuple[str, float, str], ...] = (
    ("training.learning_rate", 0.01, "fine-tuning mostly learns nothing above {limit}; 1e-5 to 5e-5 are usual"),
    ("training.num_epochs", 100, "{limit} passes over the data are rarely of use; 2 to 5 are usual"),
)

# The same of numbers that another setting asks more of: that setting, the number, the least that is usual, and why.
ODD_BESIDE: tuple[tuple[str, str, float, str], ...] = (
    (
        "training.lora_rank",
        "training.learning_rate",
        1e-4,
        "adapters learn little below {limit}; ten times what suits the whole model is usual, such as 2e-4 to 5e-4",
    ),
)


def forbidden_texts(values: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """Secrets, variables and control characters, in values and in keys."""
    for path, text in _texts(values, ()):
        for pattern, what, fix in FORBIDDEN:
            if found := re.search(pattern, text):
                yield Problem(origins.where(path[:2]), what.format(found=hide_secrets(found.group())), fix)


def quoted_numbers(values: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """A setting that takes a number or a name would take "0.1" for a name, and nobody means that."""
    for setting in all_settings():
        content = values[setting.section] if setting.section else values
        text = content.get(setting.key) if isinstance(content, dict) else None
        if (
            isinstance(text, str)
            and setting.kinds >= {"number", "string"}
            and isinstance(parse_value(text), (int, float))
        ):
            fix = f"write {setting.key}: {text.strip()} without quotes, which make it a text"
            what = f"{setting.wanted} is wanted, found {show(text)}"
            yield Problem(origins.where((setting.section, setting.key)), what, fix)


def bare_folders(values: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    """A place of results that is a slip: the root or the home folder, as when a variable was empty, the data, a file.

    The folder in which the command runs may be one of them: whoever leaves `.` there has chosen to work in it.
    """
    written = values.get("output_dir")
    if not isinstance(written, str) or not written or "\0" in written or os.path.normpath(written) == ".":
        return
    home = os.path.expanduser("~")
    folder = os.path.realpath(os.path.expanduser(written))
    if os.path.isfile(folder):
        what = f"a folder is wanted, and this is a file: {show(written)}"
        yield Problem(origins.where(("output_dir",)), what, "name a folder, which need not be there yet")
        return
    places = (("/", "the root of the file system"), (home, "the home folder"), (_dataset(values), "the data folder"))
    for place, name in places:
        if place and folder == os.path.realpath(os.path.expanduser(place)):
            fix = f"name a folder in it, such as {os.path.join(written, 'my-run')}"
            yield Problem(origins.where(("output_dir",)), f"must not be {name} itself, found {show(written)}", fix)
            return


def odd_values(flat: Mapping[str, object]) -> list[str]:
    """A sentence for each number that is hardly ever meant, by the settings' dotted names."""
    numbers = {name: value for name, value in flat.items() if isinstance(value, (int, float))}
    told = [(name, limit, why) for name, limit, why in ODD if numbers[name] > limit]
    told += [
        (name, limit, f"with {other}, {why}")
        for other, name, limit, why in ODD_BESIDE
        if other in numbers and numbers[name] < limit
    ]
    return [f"{name} is {plain(numbers[name])}: {why.format(limit=plain(limit))}" for name, limit, why in told]


def _dataset(values: Mapping[str, Any]) -> str:
    """The data's name where it could be that of a folder."""
    data = values.get("data")
    name = data.get("dataset") if isinstance(data, dict) else None
    return name if isinstance(name, str) and "\0" not in name else ""


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:  # noqa: ANN401
    """Every text in there, keys included, with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key), key
            yield from _texts(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _texts(part, (*path, str(number)))
