"""Shapes of what the server says of texts, by the task of the model, and of its errors: for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel
from pydantic.json_schema import SkipJsonSchema

from forgeml.serving.shapes.questions import Body, examples, left_out

Probability = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]


class Refused(Body):
    """Every error, whatever the route."""

    model_config = examples(
        {"code": "wrong_kind", "message": "texts[3] is null; text is wanted", "field": "texts[3]", "request_id": "7f3a"}
    )
    code: str
    """One word of a fixed set, for programs."""
    message: str
    """A sentence for people: what was found and what is wanted."""
    field: str | None
    """Where in the body, or the name of a header."""
    request_id: str
    """As in the header X-Request-ID and in the log."""


class WordWeight(Body):
    """What one word does to the score."""

    text: str
    """The word itself."""
    start: Annotated[int, Field(ge=0)]
    """Place of its first character in the text, in Unicode code points."""
    end: Annotated[int, Field(ge=0)]
    """Place behind its last character."""
    weight: float
    """What the score loses without the word: above 0 for the label, below 0 against it."""
    in_pair: bool
    """Whether it stands in the second text."""
    read: bool
    """False for a word that is beyond what the model reads."""


class Explained(Body):
    """Which words a label rests on."""

    label: str
    score: float
    """Log-odds of the label, or for regression the value."""
    words: list[WordWeight]
    """In the order of the text; those of a second text follow."""
    model_version: Version


class _Marks(Body):
    truncated: bool
    """Whether something of the text was not read, as it is too long."""
    empty: bool
    """Whether there is nothing to be seen in the text; of a pair, in neither."""


class LabelOf(Body):
    """The class of a text, the probability of it, and that of every class."""

    label: str
    score: Probability
    scores: dict[str, Probability]


class LabelsOf(Body):
    """The classes that reach their thresholds, most probable first, and the probability of every class."""

    labels: list[str]
    scores: dict[str, Probability]


class ValueOf(Body):
    """The number of a text."""

    value: float


class MarkedLabel(_Marks, LabelOf):
    """The answer to one text of several, with the class."""


class MarkedLabels(_Marks, LabelsOf):
    """The answer to one text of several, with the classes that apply."""


class MarkedValue(_Marks, ValueOf):
    """The answer to one text of several, with the number."""


class LabelAnswer(MarkedLabel):
    """The answer to one text, with the class."""

    model_version: Version


class LabelsAnswer(MarkedLabels):
    """The answer to one text, with the classes that apply."""

    model_version: Version


class ValueAnswer(MarkedValue):
    """The answer to one text, with the number."""

    model_version: Version


class LabelBatch(Body):
    """The answers to several texts, in their order."""

    predictions: list[MarkedLabel]
    model_version: Version


class LabelsBatch(Body):
    """The answers to several texts, in their order."""

    predictions: list[MarkedLabels]
    model_version: Version


class ValueBatch(Body):
    """The answers to several texts, in their order."""

    predictions: list[MarkedValue]
    model_version: Version


class LabelPredictions(Body):
    """MLflow's answer: a record for each text."""

    predictions: list[LabelOf]


class LabelsPredictions(Body):
    """MLflow's answer: a record for each text."""

    predictions: list[LabelsOf]


class ValuePredictions(Body):
    """MLflow's answer: a record for each text."""

    predictions: list[ValueOf]


class LabelScore(Body):
    """A class and its score."""

    label: str
    score: float


class HuggingFaceAnswer(RootModel[LabelScore | list[LabelScore] | list[list[LabelScore]]]):
    """What the pipeline gives: by the form of the inputs, and by whether there is a `top_k`."""

    model_config = ConfigDict(json_schema_extra={"examples": [[{"label": "positive", "score": 0.98}]]})


class Tensor(Body):
    """An output: its values flat, row by row."""

    name: str
    shape: list[int]
    """[n] for n texts, or [n, classes]."""
    datatype: Literal["BYTES", "BOOL", "FP64"]
    data: list[str] | list[bool] | list[float]


class Inferred(Body):
    """The answer to an inference request."""

    model_config = examples(
        {
            "model_name": "best_model",
            "model_version": "0123456789ab",
            "id": "42",
            "outputs": [{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["positive"]}],
        }
    )
    model_name: str
    model_version: Version
    id: str | SkipJsonSchema[None] = left_out()
    """Of the request, if it had one."""
    outputs: list[Tensor]
    """All that there are, or those asked for."""
