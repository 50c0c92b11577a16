"""A request that gets no answer."""

from __future__ import annotations

from forgeml.serving.refusals import Refusal


def test_all_errors_have_one_shape() -> None:
    """Four fields, always, with null where there is nothing to point at."""
    assert Refusal(400, "not_json", "it is not").as_dict("id") == {
        "code": "not_json",
        "message": "it is not",
        "field": None,
        "request_id": "id",
    }
