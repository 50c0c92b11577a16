"""What the server takes and gives, by route: the shapes from which its OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import SkipJsonSchema, models_json_schema

from forgeml.serving.asking import Facts
from forgeml.serving.shapes import answers, mlflow, questions
from forgeml.serving.wire.inference_protocol import OUTPUTS

PLACE = "#/components/schemas/"
INFER = "/v2/models/{name}/infer"
"""Routes are written as in OpenAPI."""


class Alive(questions.Body):
    """The process runs."""

    status: Literal["alive"]


class Readiness(questions.Body):
    """Whether the model answers: `ready`, or why not, such as `loading` or `draining`."""

    model_config = questions.examples({"status": "ready", "model_version": "0123456789ab"}, {"status": "loading"})
    status: str
    model_version: answers.Version | SkipJsonSchema[None] = questions.left_out()
    """Of the model that answers."""
    problem: str | SkipJsonSchema[None] = questions.left_out()
    """Why there is no model, or why a newer one could not be taken."""


class ModelInfo(questions.Body):
    """The model that answers."""

    name: str
    """Name of its folder."""
    version: answers.Version
    task: Literal["single_label", "multi_label", "regression"]
    labels: list[str]
    """In the order of the scores; for regression the one name of the number."""
    pairs: bool | None
    """Whether it reads pairs of texts; null where the folder does not tell."""
    thresholds: dict[str, float] | None
    """Multi-label: the probability from which on a class is said."""
    engine: str
    device: str
    note: str
    """Why it is not the engine that was measured to be the best; empty if it is."""
    max_length: int
    """Tokens that are read of a text."""
    long_texts: str
    """How texts are read that are longer."""


class Info(questions.Body):
    """The model, its metrics, and the limits of the server."""

    model: ModelInfo
    limits: dict[str, float]
    metrics: dict[str, dict[str, float]]
    """By part of the data."""
    manifest: dict[str, Any]
    """Of the saved folder; empty for one that something else has saved."""
    versions: dict[str, str]
    """Of ForgeML and of what it runs on."""
    docs: bool
    """Whether `/docs` is shown."""
    problem: str | None
    """Why a newer model could not be taken."""


class Live(questions.Body):
    """The process runs."""

    live: bool


class Ready(questions.Body):
    """Whether the model answers."""

    name: str | SkipJsonSchema[None] = questions.left_out()
    """Of the model, where one was named."""
    ready: bool


class ServerMetadata(questions.Body):
    """The server as the Open Inference Protocol wants it described."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(questions.Body):
    """A tensor that is taken or given."""

    name: str
    datatype: str
    shape: list[int]
    """-1 for the number of texts."""
    parameters: dict[str, list[str]] | SkipJsonSchema[None] = questions.left_out()
    """`labels`: the classes in the order of the columns."""


class ModelMetadata(questions.Body):
    """The model as the Open Inference Protocol wants it described."""

    name: str
    versions: list[answers.Version]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


Shape = type[BaseModel]

REQUESTS: Mapping[str, tuple[Shape, Shape]] = {
    "/predict": (questions.OneText, questions.OnePair),
    "/predict/batch": (questions.SeveralTexts, questions.SeveralPairs),
    "/explain": (questions.ExplainText, questions.ExplainPair),
    "/": (questions.HuggingFaceTexts, questions.HuggingFacePairs),
    "/invocations": (mlflow.MlflowTexts, mlflow.MlflowPairs),
    INFER: (questions.InferTexts, questions.InferPairs),
}
"""Bodies of POST: for models of single texts, and for models of pairs."""

BY_TASK: Mapping[str, Mapping[str, Shape]] = {
    "/predict": {
        "single_label": answers.LabelAnswer,
        "multi_label": answers.LabelsAnswer,
        "regression": answers.ValueAnswer,
    },
    "/predict/batch": {
        "single_label": answers.LabelBatch,
        "multi_label": answers.LabelsBatch,
        "regression": answers.ValueBatch,
    },
    "/invocations": {
        "single_label": answers.LabelPredictions,
        "multi_label": answers.LabelsPredictions,
        "regression": answers.ValuePredictions,
    },
}
"""What POST is answered with, where that depends on the task."""

RESPONSES: Mapping[str, Shape] = {
    "/explain": answers.Explained,
    "/": answers.HuggingFaceAnswer,
    INFER: answers.Inferred,
    "/healthz": Alive,
    "/ping": questions.Body,
    "/readyz": Readiness,
    "/health": Readiness,
    "/info": Info,
    "/v2": ServerMetadata,
    "/v2/health/live": Live,
    "/v2/health/ready": Ready,
    "/v2/models/{name}": ModelMetadata,
    "/v2/models/{name}/ready": Ready,
}
"""What the other routes answer with: POST where there is a request, GET where there is none."""


@dataclass(frozen=True)
class Shapes:
    """All JSON schemas of an OpenAPI document."""

    requests: Mapping[str, dict[str, Any]]
    """By route."""
    responses: Mapping[str, dict[str, Any]]
    """By route."""
    refused: dict[str, Any]
    """Every error."""
    components: Mapping[str, dict[str, Any]]
    """What the others refer to: `components.schemas` of the document."""


def shapes(facts: Facts) -> Shapes:
    """The shapes that hold for one model: no pairs where it reads single texts, and its own labels.

    Args:
        facts: of the model.
    """
    requests = {route: _requests(both, facts) for route, both in REQUESTS.items()}
    responses = {**{route: tasks[facts.task] for route, tasks in BY_TASK.items()}, **RESPONSES}
    models: set[Shape] = {one for many in requests.values() for one in many}
    models |= {*responses.values(), answers.Refused}
    _, document = models_json_schema(
        [(one, "validation") for one in sorted(models, key=lambda one: one.__name__)], ref_template=f"{PLACE}{{model}}"
    )
    choices = {"labels": list(facts.labels), "outputs": list(OUTPUTS[facts.task])}
    for field in _marked(document["$defs"]):
        field["enum"] = choices[field.pop(questions.CHOICES)]
    return Shapes(
        {route: _any_of(many) for route, many in requests.items()},
        {route: _any_of([one]) for route, one in responses.items()},
        _any_of([answers.Refused]),
        document["$defs"],
    )


def _requests(both: tuple[Shape, Shape], facts: Facts) -> list[Shape]:
    single, pair = both
    return {True: [pair], False: [single], None: [single, pair]}[facts.pairs]


def _any_of(models: list[Shape]) -> dict[str, Any]:
    found: list[dict[str, Any]] = [{"$ref": f"{PLACE}{one.__name__}"} for one in models]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _marked(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 whatever JSON can hold
    """All parts of a schema whose values depend on the model."""
    if isinstance(schema, dict) and questions.CHOICES in schema:
        yield schema
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in parts:
        yield from _marked(part)
