"""The routes that tell of the server. What they say of a real model stands in test_serving_app.py."""

from __future__ import annotations

from forgeml.serving.answering.answerer import Answerer
from forgeml.serving.answering.current import Current
from forgeml.serving.answering.served import Opening
from forgeml.serving.limits import Limits
from forgeml.serving.routes import about
from forgeml.serving.telling.metrics import Metrics


def test_they_only_read() -> None:
    """Nothing of the server is changed by asking for it: all of them are GET."""
    current = Current(Opening("nowhere", "auto", "auto", Limits()), 0, lambda *told: None, lambda *told: None)
    told = about.routes(Answerer(current, Limits()), Limits(), Metrics(), with_docs=True)
    assert {route.method for route in [*told, *about.pages(dict, with_docs=True)]} == {"GET"}


def test_the_docs_can_be_left_out() -> None:
    """The page stays, the document and its page go."""
    names = [{route.path for route in about.pages(dict, with_docs=shown)} for shown in (True, False)]
    assert names[0] - names[1] == {"/docs", "/openapi.json"}
