"""Say in plain words what is wrong with a setting and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from forgeml.config.opening import hide_secrets
from forgeml.config.reading import KeyPath, parse_value
from forgeml.config.settings import Setting, all_settings, find_setting, guess_name, plain, section_names
from forgeml.errors import Problem, nearest

# The kinds of error that the validation library knows, as sentences. `{found}` is what was there, `{kind}` the
# setting's kind in words, `{wanted}` its bounds as well, the other names are the bounds that the library hands over.
# A value that fits no alternative of several gives several errors: the one that stands lowest here says most.
SAYINGS: dict[str, str] = {
    "missing": "{name} is required",
    "extra_forbidden": "unknown setting",
    "model_type": "a section with settings is wanted, found {found}",
    "string_type": "{kind} is wanted, found {found}",
    "bool_type": "{kind} is wanted, found {found}",
    "int_type": "{kind} is wanted, found {found}",
    "float_type": "{kind} is wanted, found {found}",
    "int_from_float": "{kind} is wanted, found {found}",
    "finite_number": "a finite number is wanted, found {found}",
    "literal_error": "{wanted} is wanted, found {found}",
    "string_pattern_mismatch": "{wanted} is wanted, found {found}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "greater_than": "must be above {gt}, found {found}",
    "greater_than_equal": "must be {ge} or more, found {found}",
    "less_than": "must be below {lt}, found {found}",
    "less_than_equal": "must be {le} or less, found {found}",
}

EXAMPLES = {"model.name": "distilbert-base-uncased", "data.dataset": "imdb"}


@dataclass(frozen=True)
class Origins:
    """Where each value was written: a line of the file, or an option of the command line."""

    file: str
    lines: Mapping[KeyPath, int]
    options: frozenset[KeyPath] = frozenset()

    def where(self, path: KeyPath) -> str:
        """The place of that key, or of the nearest thing around it that was written somewhere."""
        for length in range(len(path), 0, -1):
            part = path[:length]
            dotted = hide_secrets(".".join(part))
            if part in self.options:
                return f"--{dotted}"
            if part in self.lines:
                return f"{self.file}:{self.lines[part]} {dotted}"
        return self.file


WITHOUT = {"trust_remote_code": "take it out: code that comes with a model is never run"}
"""What to do about names that other tools have and ForgeML does without."""


def explain(error: ValidationError, origins: Origins) -> list[Problem]:
    """One problem for each setting that is wrong."""
    ranks = list(SAYINGS)
    worst: dict[KeyPath, ErrorDetails] = {}
    details = [(*_setting_path(tuple(map(str, detail["loc"]))), detail) for detail in error.errors(include_url=False)]
    # Where something inside a list or mapping is wrong, that it is no single text either is not worth a word.
    inside = {path for path, inner, _ in details if inner}
    for path, inner, detail in details:
        if path in inside and not inner:
            continue
        place = (*path, *inner)
        if place not in worst or _rank(ranks, detail) > _rank(ranks, worst[place]):
            worst[place] = detail
    return [
        _part_problem(place, detail, origins) if place[:2] in inside else _problem(place, detail, origins)
        for place, detail in worst.items()
    ]


def unknown_fix(section: str, key: str, prefix: str = "") -> str:
    """What to do about a name that is no setting; `prefix` is what goes before a name where it was written."""
    if key in WITHOUT:
        return WITHOUT[key]
    guess = guess_name(section, key)
    if guess is None or (prefix and find_setting(guess) is None):
        return _list_known(guess or section, prefix)
    home, _, bare = guess.rpartition(".")
    if key in (bare, guess) and home != section and not prefix:
        return f"it belongs under {home}: {guess}" if home else f"it belongs outside the sections: {guess}"
    return f"did you mean {prefix}{guess}?"


def show(value: Any) -> str:  # noqa: ANN401 - whatever somebody wrote
    """A value as a phrase, short enough for a message and without secrets."""
    if isinstance(value, str):
        hidden = hide_secrets(value)
        return f'the text "{hidden if len(hidden) <= 60 else hidden[:57] + "..."}"'
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else plain(value)
    return f"the number {plain(value)}"


def _setting_path(location: KeyPath) -> tuple[KeyPath, KeyPath]:
    """The setting that an error is at, and the place inside its value; between them the schema's alternative stands."""
    length = 2 if location[0] in section_names() else 1
    return location[:length], location[length + 1 :]


def _rank(ranks: list[str], detail: ErrorDetails) -> int:
    return ranks.index(detail["type"]) if detail["type"] in ranks else -1


def _problem(path: KeyPath, detail: ErrorDetails, origins: Origins) -> Problem:
    where, name, value = origins.where(path), ".".join(path), detail["input"]
    setting = find_setting(name)
    if detail["type"] == "extra_forbidden":
        section, key = path if len(path) == 2 else ("", path[0])
        return Problem(where, SAYINGS["extra_forbidden"], unknown_fix(section, key))
    if setting is None:
        fix = f"write the settings of {name} below it, two spaces further in: {_keys(name)}"
        return Problem(where, SAYINGS["model_type"].format(found=show(value)), fix)
    if detail["type"] == "missing" or (setting.required and value is None):
        return Problem(where, SAYINGS["missing"].format(name=name), _required_fix(setting))
    bounds = {
        bound: f"{limit:.10g}" for bound, limit in detail.get("ctx", {}).items() if isinstance(limit, (int, float))
    }
    saying = SAYINGS.get(detail["type"], "{wanted} is wanted, found {found}")
    what = saying.format(name=name, found=show(value), kind=setting.kind, wanted=setting.wanted, **bounds)
    known_form = detail["type"] == "string_pattern_mismatch"
    return Problem(where, what, setting.help if known_form else _value_fix(setting, value))


def _part_problem(place: KeyPath, detail: ErrorDetails, origins: Origins) -> Problem:
    """What is wrong with one part of a list or mapping of texts."""
    part, value = hide_secrets(place[2]), detail["input"]
    if place[-1] == "[key]":
        place = place[:2]
        name, fix = "a key", "write the name of a split before the colon, such as train"
    else:
        name = f"value {int(part) + 1} of the list" if part.isdecimal() else f"the value of {part}"
        fix = "write a text here, or take it out"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        fix = f'a number becomes a text in quotes: "{plain(value)}"'
    empty = detail["type"] == "string_too_short"
    what = f"{name} must not be empty" if empty else f"{name} must be a text, found {show(value)}"
    return Problem(origins.where(place), what, fix)


def _required_fix(setting: Setting) -> str:
    example = EXAMPLES.get(setting.name, "...")
    return f"write it under `{setting.section}:`, for instance `{setting.key}: {example}`"


def _value_fix(setting: Setting, value: Any) -> str:  # noqa: ANN401
    wants_number = bool(setting.kinds & {"integer", "number"})
    if isinstance(value, str) and (fix := _text_fix(setting, value, wants_number=wants_number)):
        return fix
    if isinstance(value, bool) and wants_number:
        return f"true and false are never numbers; give {setting.wanted}"
    if isinstance(value, float) and "integer" in setting.kinds and value.is_integer():
        return f"write {setting.key}: {value:.0f}"
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and "string" in setting.kinds
        and not wants_number
    ):
        return f'give {setting.wanted}; a number becomes one in quotes: "{plain(value)}"'
    default = "" if setting.default is None else f" for the default, {plain(setting.default)}"
    left_out = "" if setting.required else f", or leave it out{default}"
    return f"give {setting.wanted}{left_out}"


def _text_fix(setting: Setting, text: str, *, wants_number: bool) -> str | None:
    """Advice for a text in the place of something else."""
    if setting.choices and (alike := nearest(text, setting.choices)):
        return f"did you mean {alike}?"
    bare, joined = parse_value(text), parse_value(text.replace("_", "").replace(",", ""))
    if (wants_number or setting.kinds & {"boolean"}) and not isinstance(bare, (str, list, dict)) and bare is not None:
        return f"write {setting.key}: {text.strip()} without quotes, which make it a text"
    if wants_number and isinstance(joined, (int, float)):
        return f"write {setting.key}: {plain(joined)} without separators"
    if "boolean" in setting.kinds and text.lower() in {"yes", "no", "on", "off"}:
        return f"write {setting.key}: {'true' if text.lower() in {'yes', 'on'} else 'false'}"
    return None


def _list_known(section: str, prefix: str) -> str:
    if section in section_names():
        return f"settings of {section}: {_keys(section)}"
    if prefix:
        sections = ", ".join(section_names())
        return f"options are the names of settings, such as --training.learning_rate; sections are {sections}"
    outside = [setting.key for setting in all_settings() if not setting.section]
    return f"known here: {', '.join([*section_names(), *outside])}"


def _keys(section: str) -> str:
    return ", ".join(setting.key for setting in all_settings() if setting.section == section)
