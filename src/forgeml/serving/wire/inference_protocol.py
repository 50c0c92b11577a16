"""The Open Inference Protocol, version 2, as JSON: what the server and the model say of themselves, and inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forgeml.records import ListedTexts
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.wire.checking import (
    PAIR,
    TEXT,
    as_list,
    as_object,
    as_one_of,
    as_text,
    as_whole,
    check_pairs,
    of_kind,
)

BYTES, BOOL, FP64 = "BYTES", "BOOL", "FP64"
ANY_NUMBER = -1
"""In metadata: a length that each request sets."""


@dataclass(frozen=True)
class _Output:
    """A tensor that the model gives, with a row for each text."""

    datatype: str
    values: Callable[[Answers], list[Any]]
    """Row by row, flat."""
    by_class: bool = False
    """Whether a row has a value for each class, in the order of the model's labels."""


def _scores(answers: Answers) -> list[float]:
    return [one.scores[label] for one in answers.predictions for label in answers.facts.labels]


def _said(answers: Answers) -> list[bool]:
    return [label in (one.labels or ()) for one in answers.predictions for label in answers.facts.labels]


TRUNCATED = {"truncated": _Output(BOOL, lambda answers: [bool(one) for one in answers.truncated])}
SCORES = {"scores": _Output(FP64, _scores, by_class=True)}
OUTPUTS: Mapping[str, Mapping[str, _Output]] = {
    "single_label": {
        "label": _Output(BYTES, lambda answers: [one.label for one in answers.predictions]),
        "score": _Output(FP64, lambda answers: [one.score for one in answers.predictions]),
        **SCORES,
        **TRUNCATED,
    },
    "multi_label": {"labels": _Output(BOOL, _said, by_class=True), **SCORES, **TRUNCATED},
    "regression": {"value": _Output(FP64, lambda answers: [one.value for one in answers.predictions]), **TRUNCATED},
}
"""By task and name."""


def server_metadata(version: str) -> dict[str, Any]:
    """Body of `/v2`.

    Args:
        version: of ForgeML.
    """
    return {"name": "forgeml", "version": version, "extensions": []}


def model_metadata(facts: Facts) -> dict[str, Any]:
    """Body of `/v2/models/NAME`; tensors with a value for each class say which ones in their parameters."""
    inputs = (TEXT, PAIR) if facts.pairs else (TEXT,)
    outputs = OUTPUTS[facts.task]
    return {
        "name": facts.name,
        "versions": [facts.version],
        "platform": "forgeml",
        "inputs": [{"name": name, "datatype": BYTES, "shape": [ANY_NUMBER]} for name in inputs],
        "outputs": [
            {"name": name, "datatype": output.datatype, "shape": _shape(output, facts, ANY_NUMBER)}
            | ({"parameters": {"labels": list(facts.labels)}} if output.by_class else {})
            for name, output in outputs.items()
        ],
    }


def parse_infer(value: object, facts: Facts, limits: Limits) -> Asked:
    """Understand an inference request: a tensor of texts of any name, or `text` and `text_pair` for pairs.

    Parameters, of the request or of a tensor, are not looked at.

    Args:
        value: what was read from JSON.
        facts: of the model.
        limits: how many texts there may be.

    Raises:
        Refusal: the body is of another shape, or not what the model reads, or has too many texts.
    """
    body = as_object(value, ("id", "parameters", "inputs", "outputs"), ("inputs",))
    _check_parameters(body, "")
    echo = {"id": as_text(body["id"], "id")} if "id" in body else {}
    texts = check_pairs(_texts(body["inputs"], limits), facts, "inputs")
    available = OUTPUTS[facts.task]
    names = _wanted(body["outputs"], available) if "outputs" in body else list(available)

    def render(answers: Answers) -> dict[str, Any]:
        outputs = [_tensor(name, available[name], answers) for name in names]
        return {"model_name": facts.name, "model_version": answers.facts.version, **echo, "outputs": outputs}

    return Asked(texts, render)


def _texts(value: object, limits: Limits) -> ListedTexts:
    tensors = of_kind(value, list, "inputs")
    if len(tensors) not in (1, 2):
        message = f"inputs has {len(tensors)} tensors; one of texts is wanted, or {TEXT} and {PAIR}"
        raise Refusal(422, "wrong_shape", message, "inputs")
    read = [_read(tensor, f"inputs[{place}]", limits) for place, tensor in enumerate(tensors)]
    if len(read) == 1:
        return ListedTexts(read[0][1])
    by_name = dict(read)
    if by_name.keys() != {TEXT, PAIR}:
        raise Refusal(422, "wrong_value", f"two tensors are to be named {TEXT} and {PAIR}", "inputs")
    return ListedTexts(by_name[TEXT], by_name[PAIR])


def _read(value: object, at: str, limits: Limits) -> tuple[str, list[str]]:
    """Name and texts of a tensor."""
    fields = ("name", "shape", "datatype", "data")
    tensor = as_object(value, (*fields, "parameters"), fields, at)
    _check_parameters(tensor, f"{at}.")
    as_one_of(tensor["datatype"], (BYTES,), f"{at}.datatype")
    data = as_list(tensor["data"], f"{at}.data", limits)
    shape = of_kind(tensor["shape"], list, f"{at}.shape")
    sizes = [as_whole(size, f"{at}.shape[{place}]") for place, size in enumerate(shape)]
    if sizes not in ([len(data)], [len(data), 1]):
        message = f"{at}.shape is not that of {len(data)} texts, [{len(data)}] or [{len(data)}, 1]"
        raise Refusal(422, "wrong_shape", message, f"{at}.shape")
    if len(sizes) == 2 and isinstance(data[0], list):
        data = [_only(row, f"{at}.data[{place}]") for place, row in enumerate(data)]
    texts = [as_text(text, f"{at}.data[{place}]") for place, text in enumerate(data)]
    return as_text(tensor["name"], f"{at}.name"), texts


def _only(row: object, at: str) -> object:
    inner = of_kind(row, list, at)
    if len(inner) != 1:
        raise Refusal(422, "wrong_shape", f"{at} has {len(inner)} values; the shape says one", at)
    return inner[0]


def _wanted(value: object, available: Mapping[str, _Output]) -> list[str]:
    """Names of the outputs, each once."""
    asked = of_kind(value, list, "outputs")
    if not asked:
        raise Refusal(422, "empty_list", "outputs is an empty list; leave it out for all", "outputs")
    names = []
    for place, one in enumerate(asked):
        at = f"outputs[{place}]"
        found = as_object(one, ("name", "parameters"), ("name",), at)
        _check_parameters(found, f"{at}.")
        names.append(as_one_of(found["name"], available, f"{at}.name"))
    return list(dict.fromkeys(names))


def _check_parameters(holder: Mapping[str, Any], at: str) -> None:
    if "parameters" in holder:
        of_kind(holder["parameters"], dict, f"{at}parameters")


def _shape(output: _Output, facts: Facts, texts: int) -> list[int]:
    return [texts, len(facts.labels)] if output.by_class else [texts]


def _tensor(name: str, output: _Output, answers: Answers) -> dict[str, Any]:
    shape = _shape(output, answers.facts, len(answers.predictions))
    return {"name": name, "shape": shape, "datatype": output.datatype, "data": output.values(answers)}
