"""From a file and the command line's overrides to one frozen configuration, or to everything that is wrong."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from forgeml.config.opening import TOKEN, hide_secrets
from forgeml.config.reading import Document, KeyPath, parse_value, read_yaml
from forgeml.config.schema import Config
from forgeml.config.settings import all_settings, find_setting, section_names
from forgeml.config.wording import Origins, explain, show, unknown_fix
from forgeml.errors import ConfigError, Problem

Value = str | int | float | bool | None

# Texts that are refused wherever they stand: the pattern, what is wrong with it, what to do instead.
FORBIDDEN: tuple[tuple[str, str, str], ...] = (
    (
        TOKEN,
        "a hub token is written here; this file gets copied and saved",
        "delete it here, set the environment variable HF_TOKEN instead, and have the hub replace this token",
    ),
    (
        r"^https?://[^/\s@:]*:[^/\s@]+@",
        "a password is written in this address; this file gets copied and saved",
        "delete it here, set the environment variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
    ),
    (
        r"\$\{\w+\}|^\$[A-Z_][A-Z0-9_]*$",
        "environment variables are not replaced here",
        'write the value itself, or let the shell do it on the command line: --section.key "$NAME"',
    ),
)


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
    problems = [*document.problems, *problems, *_forbidden(values, origins), *_quoted_numbers(values, origins)]
    problems += _settle_precision(values, origins)
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


def without_secrets(config: Config) -> Config:
    """A copy that shows no password, for what is saved or sent; the program itself uses the original."""
    return Config.model_validate_json(hide_secrets(config.model_dump_json()))


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
    only_text = setting is not None and setting.kinds <= {"string", "null"}
    return text.strip() if only_text and value is not None and not isinstance(value, str) else value


def _forbidden(values: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
    for path, text in _texts(values, ()):
        for pattern, what, fix in FORBIDDEN:
            if re.search(pattern, text):
                yield Problem(origins.where(path[:2]), what, fix)


def _quoted_numbers(values: Mapping[str, Any], origins: Origins) -> Iterator[Problem]:
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


def _settle_precision(values: dict[str, Any], origins: Origins) -> list[Problem]:
    """Turn the older `fp16: true` into `precision: fp16`; `fp16: false` says nothing."""
    training = values["training"]
    if not isinstance(training, dict) or not isinstance(training.get("fp16"), bool):
        return []
    older = training["fp16"]
    training["fp16"] = None
    if not older:
        return []
    precision = training.setdefault("precision", "fp16")
    if precision == "fp16":
        return []
    both = [origins.where(("training", key)) for key in ("fp16", "precision")]
    what = f"fp16: true contradicts precision, which is {show(precision)} at {both[1]}"
    return [Problem(both[0], what, "keep precision and delete fp16, its older spelling")]


def _from_the_top(problems: Sequence[Problem], file: str) -> list[Problem]:
    """In the order of the file's lines; before them what concerns all of it, after them the command line."""

    def place(problem: Problem) -> tuple[bool, int]:
        line = re.match(r":(\d+)", problem.where.removeprefix(file))
        return problem.where.startswith("--"), int(line[1]) if line else 0

    return sorted(problems, key=place)
