"""From a file and the command line's overrides to one frozen configuration, or to everything that is wrong."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML

from forgeml.config.checks import bare_folders, forbidden_texts, odd_values, quoted_numbers
from forgeml.config.opening import hide_secrets
from forgeml.config.reading import Document, parse_value, read_yaml
from forgeml.config.schema import Config, DataConfig, Section
from forgeml.config.settings import all_settings, find_setting, plain, section_names
from forgeml.config.wording import Origins, explain, show, unknown_fix
from forgeml.errors import ConfigError, ForgeError, Problem

Value = str | int | float | bool | list[str] | dict[str, str] | None
Part = TypeVar("Part", bound=Section)


def load_config(path: str | Path, overrides: Sequence[tuple[str, str]] = ()) -> Config:
    """Read, override and validate; the result never changes after.

    Args:
        path: YAML file.
        overrides: Dotted names of settings with texts, as `parse_overrides` gives them; they win over the file.

    Raises:
        ConfigError: With every problem of the file and the overrides.
    """
    document = read_yaml(Path(path))
    texts, problems = _known_overrides(overrides)
    origins = Origins(str(path), document.lines, frozenset(tuple(name.split(".")) for name in texts))
    values = _merge(document, texts)
    problems = [*document.problems, *problems, *_settle_precision(values, origins)]
    for check in (forbidden_texts, quoted_numbers, bare_folders):
        problems += check(values, origins)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        # What is wrong at a place that has a problem already is mostly the consequence of that.
        places = {problem.where for problem in problems}
        more = [problem for problem in explain(error, origins) if problem.where not in places]
        raise ConfigError(_from_the_top([*problems, *more], str(path))) from error
    if problems:
        raise ConfigError(_from_the_top(problems, str(path)))
    return config


def place_settings(error: ForgeError, path: str | Path, overrides: Sequence[tuple[str, str]]) -> ForgeError:
    """The error with the line of the file, or the option, wherever a problem names a setting that is written there.

    Args:
        error: of a part that knows the setting's name alone.
        path: the file that `load_config` read.
        overrides: those that it was given.
    """
    try:
        lines = read_yaml(Path(path)).lines
    except ConfigError:
        # Hours after it was read, the file may be another one, or gone.
        return error
    origins = Origins(str(path), lines, frozenset(tuple(name.split(".")) for name, _ in overrides))

    def placed(problem: Problem) -> Problem:
        written = tuple(problem.where.split("."))
        known = find_setting(problem.where) and (written in origins.options or written in lines)
        return replace(problem, where=origins.where(written)) if known else problem

    found = type(error)([placed(problem) for problem in error.problems])
    found.told_elsewhere = error.told_elsewhere
    return found


def data_section(values: Mapping[str, Any], overrides: Sequence[tuple[str, str]]) -> DataConfig:
    """The `data` section alone, from values by key; overrides win over them.

    Raises:
        ConfigError: with every override that is not of this section, or whose value it does not take.
    """
    texts, problems = _known_overrides(overrides)
    fix = "only the settings of data say how data are read, such as --data.encoding"
    foreign = [name for name in texts if not name.startswith("data.")]
    problems += [Problem(f"--{name}", "has no meaning here", fix) for name in foreign]
    data = {**values, **{name.removeprefix("data."): _override_value(name, text) for name, text in texts.items()}}
    origins = Origins("", {}, frozenset(("data", key) for key in data))
    try:
        config = Config.model_validate({"model": {"name": "none"}, "data": data})
    except ValidationError as error:
        raise ConfigError([*problems, *explain(error, origins)]) from error
    if problems:
        raise ConfigError(problems)
    return config.data


def parse_overrides(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Names and texts from `--section.key value` and `--section.key=value`.

    Raises:
        ConfigError: With every argument that is no option of a known setting, or that lacks its value.
    """
    found: list[tuple[str, str]] = []
    problems: list[Problem] = []
    rest = list(arguments)
    while rest:
        option, has_value, value = rest.pop(0).partition("=")
        if not option.startswith("--"):
            fix = "settings are given as --section.key value, such as --training.num_epochs 1"
            problems.append(Problem(hide_secrets(option), "unexpected argument", fix))
            continue
        if not has_value and rest and not rest[0].startswith("--"):
            has_value, value = "=", rest.pop(0)
        name = option.removeprefix("--")
        if find_setting(name) is None:
            problems.append(_unknown_option(name))
        elif not has_value:
            problems.append(Problem(option, "the value is missing", _example(name)))
        else:
            found.append((name, value))
    if problems:
        raise ConfigError(problems)
    return found


def setting_names() -> list[str]:
    """Dotted names of all settings, in the order of the schema."""
    return [setting.name for setting in all_settings()]


def flatten(config: Config) -> dict[str, Value]:
    """Every setting's value by its dotted name."""
    flat: dict[str, Value] = {}
    for key, value in config.model_dump().items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": part for inner, part in value.items()}
        else:
            flat[key] = value
    return flat


def warnings(config: Config) -> list[str]:
    """A sentence for each value that is allowed and hardly ever meant."""
    return odd_values(flatten(config))


def without_secrets(part: Part) -> Part:
    """A copy that shows no password, for what is shown, saved or sent; the program itself uses the original."""
    # Text by text: in all of them together the start of one and the end of another can look like a password.
    hidden: dict[str, Any] = {}
    for key in type(part).model_fields:
        value = getattr(part, key)
        if isinstance(value, Section):
            hidden[key] = without_secrets(value)
        elif isinstance(value, str):
            hidden[key] = hide_secrets(value)
        elif isinstance(value, list):
            hidden[key] = [hide_secrets(text) for text in value]
        elif isinstance(value, dict):
            hidden[key] = {name: hide_secrets(text) for name, text in value.items()}
    return part.model_copy(update=hidden)


def to_yaml(config: Config) -> str:
    """The configuration as a file that loads to an equal one."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 100_000
    writer.representer.sort_base_mapping_type_on_output = False
    # These count as line ends in YAML, and the library writes them so that they do not come back.
    odd_line_ends = re.search("[\x85\u2028\u2029]", "".join(str(value) for value in flatten(config).values()))
    writer.allow_unicode = odd_line_ends is None
    text = io.StringIO()
    writer.dump(config.model_dump(), text)
    return text.getvalue()


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors that complete and check while one writes."""
    schema = Config.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ForgeML configuration"}
    return head | {key: value for key, value in schema.items() if key not in head}


def _known_overrides(overrides: Sequence[tuple[str, str]]) -> tuple[dict[str, str], list[Problem]]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for name, text in overrides:
        if find_setting(name) is None:
            problems.append(_unknown_option(name))
        elif name in texts:
            what = f"given twice, as {hide_secrets(texts[name])} and as {hide_secrets(text)}"
            problems.append(Problem(f"--{name}", what, "give it once"))
        else:
            texts[name] = text
    return texts, problems


def _unknown_option(name: str) -> Problem:
    section, _, key = name.rpartition(".")
    return Problem(f"--{hide_secrets(name)}", "unknown setting", unknown_fix(section, key, prefix="--"))


def _example(name: str) -> str:
    setting = find_setting(name)
    return f"write --{name} VALUE, where VALUE is {setting.wanted if setting else 'what it is to be'}"


def _merge(document: Document, texts: Mapping[str, str]) -> dict[str, Any]:
    """The file's values with the overrides in their places; a section without content is the same as an empty one."""
    values = dict(document.values)
    for section in section_names():
        content = values.get(section)
        values[section] = dict(content) if isinstance(content, dict) else {} if content is None else content
    for name, text in texts.items():
        section, _, key = name.rpartition(".")
        home = values[section] if section else values
        if isinstance(home, dict):
            home[key] = _override_value(name, text)
    return values


def _override_value(name: str, text: str) -> Any:  # noqa: ANN401 - not validated yet
    """As in a file, but a setting that takes nothing but text takes `2024` too: a shell eats the quotes."""
    setting, value = find_setting(name), parse_value(text)
    only_text = setting is not None and setting.kinds <= {"string", "array", "object", "null"}
    # Where nothing but a text is taken, what looks like a list is one.
    texts = (str, list, dict) if setting is not None and setting.kinds & {"array", "object"} else (str,)
    return text.strip() if only_text and value is not None and not isinstance(value, texts) else value


def _settle_precision(values: dict[str, Any], origins: Origins) -> list[Problem]:
    """Turn the older `fp16` into `precision`: of the two, the one on the command line wins over the file's."""
    training = values["training"]
    if not isinstance(training, dict) or not isinstance(training.get("fp16"), bool):
        return []
    older, precision = training["fp16"], training.get("precision", "auto")
    training["fp16"] = None
    on_command_line = [("training", key) in origins.options for key in ("fp16", "precision")]
    if on_command_line == [False, True] or older == (precision == "fp16"):
        return []
    if precision == "auto" or on_command_line == [True, False]:
        training["precision"] = "fp16" if older else "auto"
        return []
    both = [origins.where(("training", key)) for key in ("fp16", "precision")]
    what = f"fp16: {plain(older)} contradicts precision, which is {show(precision)} at {both[1]}"
    return [Problem(both[0], what, "keep precision and delete fp16, its older spelling")]


def _from_the_top(problems: Sequence[Problem], file: str) -> list[Problem]:
    """In the order of the file's lines; before them what concerns all of it, after them the command line."""

    def place(problem: Problem) -> tuple[bool, int]:
        line = re.match(r":(\d+)", problem.where.removeprefix(file))
        return problem.where.startswith("--"), int(line[1]) if line else 0

    return sorted(problems, key=place)
