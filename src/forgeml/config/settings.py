"""The settings as a list: name, kind in plain words, default and meaning, all read off the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from forgeml.config.schema import Config
from forgeml.errors import nearest

# What other tools call our settings.
SYNONYMS = {
    "bf16": "training.precision",
    "dataset_name": "data.dataset",
    "early_stopping_patience": "training.patience",
    "epochs": "training.num_epochs",
    "eval_steps": "logging.eval_interval",
    "label_smoothing_factor": "training.label_smoothing",
    "llrd": "training.layer_decay",
    "logging_steps": "logging.log_interval",
    "lr": "training.learning_rate",
    "lr_scheduler_type": "training.schedule",
    "max_seq_length": "model.max_length",
    "metric_for_best_model": "training.best_metric",
    "model_name": "model.name",
    "model_name_or_path": "model.name",
    "num_train_epochs": "training.num_epochs",
    "per_device_train_batch_size": "training.batch_size",
    "save_steps": "logging.save_interval",
    "warmup_ratio": "training.warmup_steps",
}

KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list of texts",
    "object": "a mapping of texts",
}


@dataclass(frozen=True)
class Setting:
    """One setting, as a person would describe it."""

    section: str
    """Empty for the settings outside any section."""
    key: str
    kind: str
    """In plain words, such as "a whole number"."""
    wanted: str
    """The kind with its bounds, such as "a whole number of at least 1"."""
    kinds: frozenset[str]
    """Kinds of value that are taken, in the words of JSON Schema: string, number, boolean, array, null and so on."""
    choices: tuple[str, ...]
    """The only texts that are taken; empty when any is."""
    default: str | int | float | bool | None
    required: bool
    help: str

    @property
    def name(self) -> str:
        """Section and key with a dot between them."""
        return f"{self.section}.{self.key}" if self.section else self.key


@cache
def all_settings() -> tuple[Setting, ...]:
    """Every setting, in the order of the schema."""
    schema = Config.model_json_schema()
    found: list[Setting] = []
    for key, entry in schema["properties"].items():
        if "$ref" not in entry:
            found.append(_setting("", key, entry, required=key in schema.get("required", ())))
            continue
        section = schema["$defs"][entry["$ref"].rpartition("/")[2]]
        required = section.get("required", ())
        found += [
            _setting(key, inner, part, required=inner in required) for inner, part in section["properties"].items()
        ]
    return tuple(found)


def find_setting(name: str) -> Setting | None:
    """The setting of that dotted name, None if there is none."""
    return next((setting for setting in all_settings() if setting.name == name), None)


def section_names() -> list[str]:
    """The sections, in the order of the schema."""
    return list(dict.fromkeys(setting.section for setting in all_settings() if setting.section))


def guess_name(section: str, key: str) -> str | None:
    """The setting or section that was probably meant by an unknown name, None when nothing is close."""
    key = key.replace("-", "_")
    for setting in all_settings():
        if key in (setting.key, setting.name):
            return setting.name
    if key in SYNONYMS:
        return SYNONYMS[key]
    neighbours = {setting.key: setting.name for setting in all_settings() if setting.section == section}
    if not section:
        neighbours |= {name: name for name in section_names()}
    elsewhere = {setting.key: setting.name for setting in all_settings()}
    for names in (neighbours, elsewhere):
        if alike := nearest(key, names):
            return names[alike]
    if section and section not in section_names():
        return nearest(f"{section}.{key}", [setting.name for setting in all_settings()])
    return None


def plain(value: str | int | float | bool | None) -> str:
    """A value as one would write it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).replace("e-0", "e-") if isinstance(value, float) else str(value)


def _setting(section: str, key: str, entry: Mapping[str, Any], *, required: bool) -> Setting:
    parts = entry.get("anyOf", [entry])
    given = [part for part in parts if part["type"] != "null"]
    choices = tuple(choice for part in parts for choice in part.get("enum", ()))
    kinds = frozenset(part["type"] for part in parts)
    return Setting(
        section=section,
        key=key,
        kind=" or ".join(KINDS[part["type"]] for part in given),
        wanted=" or ".join(_wanted(part) for part in given),
        kinds=kinds,
        choices=choices,
        default=entry.get("default"),
        required=required,
        help=entry.get("description", ""),
    )


def _wanted(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return "one of " + ", ".join(part["enum"])
    if "pattern" in part:
        return "a text of the forms that are known"
    bounds = {
        "minimum": "of at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "of at most {}",
        "exclusiveMaximum": "below {}",
    }
    limits = [words.format(plain(part[bound])) for bound, words in bounds.items() if bound in part]
    return KINDS[part["type"]] + (" " + " and ".join(limits) if limits else "")
