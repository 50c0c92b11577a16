"""MLflow's format at `/invocations`: its four kinds of payload, and the records that its own server would answer with.

`instances` is what Vertex AI and SageMaker send, too. Other than MLflow, which reads 3 as the text "3" and null as the
text "None", this refuses what is no text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from forgeml.records import ListedTexts
from forgeml.serving.asking import Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.wire.checking import (
    PAIR,
    TEXT,
    as_list,
    as_object,
    as_text,
    as_texts,
    below,
    check_pairs,
    of_kind,
    rows_as_texts,
    with_fields,
)

PARAMS = ("params", "parameters")
"""Settings for a model, by MLflow and by Vertex AI; this one has none, and does not look at them."""


def parse(value: object, facts: Facts, limits: Limits) -> Asked:
    """Understand one of `dataframe_split`, `dataframe_records`, `instances` and `inputs`.

    Columns other than `text` and, for pairs, `text_pair` are not looked at.

    Args:
        value: what was read from JSON.
        facts: of the model.
        limits: how many texts there may be.

    Raises:
        Refusal: the body is of another shape, or not what the model reads, or has too many texts.
    """
    body = as_object(value, (*FORMS, *PARAMS))
    forms = [name for name in FORMS if name in body]
    if len(forms) != 1:
        found = f"found {', '.join(forms)}" if forms else "found none of them"
        raise Refusal(422, "wrong_form", f"exactly one of {', '.join(FORMS)} is wanted, {found}")
    for name in PARAMS:
        if body.get(name) is not None:
            of_kind(body[name], dict, name)
    form = forms[0]
    texts = check_pairs(FORMS[form](body[form], form, limits), facts, PAIR)
    return Asked(texts, lambda answers: {"predictions": [one.as_dict() for one in answers.predictions]})


def _split(value: object, at: str, limits: Limits) -> ListedTexts:
    table = as_object(value, ("columns", "data", "index"), ("columns", "data"), at)
    names, rows = of_kind(table["columns"], list, f"{at}.columns"), as_list(table["data"], f"{at}.data", limits)
    index = table.get("index")
    if index is not None and len(of_kind(index, list, f"{at}.index")) != len(rows):
        raise Refusal(422, "wrong_length", f"{at}.index has {len(index)} places for {len(rows)} rows", f"{at}.index")
    for name in (TEXT, PAIR):
        if names.count(name) > 1:
            raise Refusal(422, "wrong_value", f"{at}.columns has {name} more than once", f"{at}.columns")
    if TEXT not in names:
        raise Refusal(422, "missing_field", f"{at}.columns has no {TEXT}", f"{at}.columns")
    for place, row in enumerate(rows):
        here = f"{at}.data[{place}]"
        if len(of_kind(row, list, here)) != len(names):
            raise Refusal(422, "wrong_length", f"{here} has {len(row)} values for {len(names)} columns", here)
    columns = [_column(rows, names.index(name), f"{at}.data") if name in names else None for name in (TEXT, PAIR)]
    return ListedTexts(columns[0] or [], columns[1])


def _column(rows: list[list[Any]], column: int, at: str) -> list[str]:
    return [as_text(row[column], f"{at}[{place}][{column}]") for place, row in enumerate(rows)]


def _records(value: object, at: str, limits: Limits) -> ListedTexts:
    rows = as_list(value, at, limits)
    return rows_as_texts([of_kind(row, dict, f"{at}[{place}]") for place, row in enumerate(rows)], at)


def _values(value: object, at: str, limits: Limits) -> ListedTexts:
    """A list of texts, a list of rows, or the columns by their names."""
    if isinstance(value, dict):
        return _columns(with_fields(value, (TEXT,), at), at, limits)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _records(value, at, limits)
    return ListedTexts(as_texts(value, at, limits))


def _columns(columns: dict[str, Any], at: str, limits: Limits) -> ListedTexts:
    def read(name: str) -> list[str]:
        """Texts of a column, or the single one that stands for it."""
        column, here = columns[name], below(at, name)
        return [as_text(column, here)] if isinstance(column, str) else as_texts(column, here, limits)

    return ListedTexts(read(TEXT), read(PAIR) if PAIR in columns else None)


FORMS: Mapping[str, Callable[[object, str, Limits], ListedTexts]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _values,
    "inputs": _values,
}
"""By the field that holds the texts; each is given the field's value, its name and the limits."""
