"""Shapes of MLflow's payloads, for single texts and for pairs: for the OpenAPI document, not for the reading."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from forgeml.serving.shapes.questions import MOST, Body, Texts, left_out

Alone = Annotated[list[str], Field(min_length=1, max_length=1)]
Both = Annotated[list[str], Field(min_length=2, max_length=2)]


class TextRow(BaseModel):
    """A row of a table; columns other than `text` are not looked at."""

    model_config = ConfigDict(extra="allow")
    text: str


class PairRow(TextRow):
    """A row of a table; columns other than `text` and `text_pair` are not looked at."""

    text_pair: str


TextRows = Annotated[list[TextRow], Field(min_length=1, max_length=MOST)]
PairRows = Annotated[list[PairRow], Field(min_length=1, max_length=MOST)]


class TextColumn(BaseModel):
    """The table by columns; other ones are not looked at."""

    model_config = ConfigDict(extra="allow")
    text: str | Texts


class TextTable(Body):
    """Rows as lists. There may be more columns, which are not looked at, and an `index` with a place for each row."""

    columns: Annotated[list[str], Field(json_schema_extra={"const": ["text"]})]
    data: Annotated[list[Alone], Field(min_length=1, max_length=MOST)]
    """At most 64 rows by default."""


class PairTable(Body):
    """Rows as lists. There may be more columns, which are not looked at, and an `index` with a place for each row."""

    columns: Annotated[list[str], Field(json_schema_extra={"const": ["text", "text_pair"]})]
    data: Annotated[list[Both], Field(min_length=1, max_length=MOST)]
    """At most 64 rows by default."""


class Payload(Body):
    """What may stand beside the texts."""

    params: dict[str, Any] | None = left_out()
    """Not looked at: the model has no settings."""
    parameters: dict[str, Any] | None = left_out()
    """Not looked at: the model has no settings."""


class TextSplit(Payload):
    """What `DataFrame.to_dict(orient="split")` gives."""

    dataframe_split: TextTable


class TextRecords(Payload):
    """What `DataFrame.to_dict(orient="records")` gives."""

    dataframe_records: TextRows


class TextInstances(Payload):
    """Texts, rows or columns, as TensorFlow Serving, Vertex AI and SageMaker have them."""

    instances: Texts | TextRows | TextColumn


class TextInputs(Payload):
    """Texts, rows or columns."""

    inputs: Texts | TextRows | TextColumn


class PairSplit(Payload):
    """What `DataFrame.to_dict(orient="split")` gives."""

    dataframe_split: PairTable


class PairRecords(Payload):
    """What `DataFrame.to_dict(orient="records")` gives."""

    dataframe_records: PairRows


class PairInstances(Payload):
    """Rows, as TensorFlow Serving, Vertex AI and SageMaker have them. Columns are taken, too: lists of equal length."""

    instances: PairRows


class PairInputs(Payload):
    """Rows. Columns are taken, too: lists of equal length."""

    inputs: PairRows


class MlflowTexts(RootModel[TextSplit | TextRecords | TextInstances | TextInputs]):
    """One of MLflow's four kinds of payload."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dataframe_split": {"columns": ["text"], "data": [["A warm film."]]}},
                {"dataframe_records": [{"text": "A warm film."}]},
                {"instances": ["A warm film."]},
                {"inputs": {"text": ["A warm film."]}},
            ]
        }
    )


class MlflowPairs(RootModel[PairSplit | PairRecords | PairInstances | PairInputs]):
    """One of MLflow's four kinds of payload."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataframe_records": [{"text": "A man plays.", "text_pair": "Music."}]}]}
    )
