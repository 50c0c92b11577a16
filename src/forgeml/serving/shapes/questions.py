"""Shapes of the bodies in which texts are asked about and answered: for the OpenAPI document, not for the reading.

A model reads single texts or pairs of them, so each request has a shape for either; a schema that had both would call
requests valid that the model has to refuse.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from forgeml.serving.limits import Limits

MOST = Limits().texts
"""Texts of a request, unless the server was started with another limit."""

Texts = Annotated[list[str], Field(min_length=1, max_length=MOST)]

CHOICES = "x-choices"
"""Marks a field whose values depend on the model; `by_route.shapes` puts them there."""


def left_out() -> Any:  # noqa: ANN401 a field of the type it stands at
    """A field that may be absent, but not null."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


def examples(*bodies: Any) -> ConfigDict:  # noqa: ANN401 whatever JSON can hold
    """Settings of a shape with these examples, and with the docstrings of its fields as their descriptions."""
    return ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": list(bodies)})


class Body(BaseModel):
    """An object of known fields and no others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class OneText(Body):
    """One text. What is too long is cut, and the answer says so."""

    model_config = examples({"text": "A warm, funny film that I would see again."})
    text: str
    """Of any length, empty too."""


class OnePair(OneText):
    """One pair of texts."""

    model_config = examples({"text": "A man plays a guitar.", "text_pair": "Someone makes music."})
    text_pair: str
    """The second text."""


class SeveralTexts(Body):
    """Several texts, up to 64 by default."""

    model_config = examples({"texts": ["A warm, funny film.", "Two hours that I will not get back."]})
    texts: Texts
    """At most 64, unless the server was started with another limit."""


class SeveralPairs(SeveralTexts):
    """Several pairs of texts, up to 64 by default: as many second texts as first ones."""

    model_config = examples({"texts": ["A man plays a guitar."], "text_pairs": ["Someone makes music."]})
    text_pairs: Texts
    """The second text of each, in the same order."""


class ExplainText(OneText):
    """A text whose label is to be explained."""

    model_config = examples({"text": "A warm, funny film that I would see again."})
    label: Annotated[str, Field(json_schema_extra={CHOICES: "labels"})] | SkipJsonSchema[None] = left_out()
    """Left out: the class of the highest score."""


class ExplainPair(OnePair):
    """A pair of texts whose label is to be explained."""

    model_config = examples({"text": "A man plays a guitar.", "text_pair": "Someone makes music."})
    label: Annotated[str, Field(json_schema_extra={CHOICES: "labels"})] | SkipJsonSchema[None] = left_out()
    """Left out: the class of the highest score."""


class HuggingFaceParameters(Body):
    """What the pipeline for text classification understands of parameters."""

    top_k: Annotated[int, Field(ge=1)] | None = left_out()
    """Labels for each text, best first; null for all. Left out: the best one alone, without a list around it."""
    function_to_apply: Literal["softmax", "sigmoid", "none", "default"] | None = left_out()
    """From the model's numbers to scores. Default: what the task asks for."""
    truncation: Annotated[bool, Field(json_schema_extra={"const": True})] | SkipJsonSchema[None] = left_out()
    """Texts that are too long are always cut."""


class HuggingFaceTexts(Body):
    """A text or several, as text or as objects."""

    model_config = examples({"inputs": "A warm film."}, {"inputs": ["A warm film."], "parameters": {"top_k": 2}})
    inputs: str | Texts | OneText | Annotated[list[OneText], Field(min_length=1, max_length=MOST)]
    """At most 64 texts by default."""
    parameters: HuggingFaceParameters | None = left_out()


class HuggingFacePairs(Body):
    """A pair of texts or several."""

    model_config = examples({"inputs": {"text": "A man plays a guitar.", "text_pair": "Someone makes music."}})
    inputs: OnePair | Annotated[list[OnePair], Field(min_length=1, max_length=MOST)]
    """At most 64 pairs by default."""
    parameters: HuggingFaceParameters | None = left_out()


class TextTensor(Body):
    """Texts as a tensor: of the shape [n], or of [n, 1] flat or nested."""

    name: str
    """Any name."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=2)]
    """[n] or [n, 1] for n texts."""
    datatype: Literal["BYTES"]
    data: (
        Texts
        | Annotated[list[Annotated[list[str], Field(min_length=1, max_length=1)]], Field(min_length=1, max_length=MOST)]
    )
    """At most 64 texts by default."""
    parameters: dict[str, Any] | SkipJsonSchema[None] = left_out()
    """Not looked at."""


class FirstTensor(TextTensor):
    """The first texts of pairs."""

    name: Literal["text"]


class SecondTensor(TextTensor):
    """The second texts of pairs, as many as first ones."""

    name: Literal["text_pair"]


class WantedOutput(Body):
    """An output that is asked for."""

    name: Annotated[str, Field(json_schema_extra={CHOICES: "outputs"})]
    """One of those that the model's metadata lists."""
    parameters: dict[str, Any] | SkipJsonSchema[None] = left_out()
    """Not looked at."""


class _Infer(Body):
    id: str | SkipJsonSchema[None] = left_out()
    """Comes back in the answer."""
    parameters: dict[str, Any] | SkipJsonSchema[None] = left_out()
    """Not looked at."""
    outputs: Annotated[list[WantedOutput], Field(min_length=1)] | SkipJsonSchema[None] = left_out()
    """Left out: all."""


class InferTexts(_Infer):
    """An inference request with one tensor of texts."""

    model_config = examples(
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A warm film."]}], "id": "42"}
    )
    inputs: tuple[TextTensor]


class InferPairs(_Infer):
    """An inference request with one tensor of first texts and one of second texts, in either order."""

    model_config = examples(
        {
            "inputs": [
                {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A man plays a guitar."]},
                {"name": "text_pair", "shape": [1], "datatype": "BYTES", "data": ["Someone makes music."]},
            ]
        }
    )
    inputs: tuple[FirstTensor, SecondTensor]
