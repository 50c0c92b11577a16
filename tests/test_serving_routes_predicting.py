"""The routes that ask the model. What they answer stands in test_serving_app.py."""

from __future__ import annotations

import pytest

from forgeml.serving.refusals import Refusal
from forgeml.serving.routes.predicting import check_named
from wire_made import VERSION, facts


def test_the_path_names_the_model() -> None:
    """A path that names another model, or another version, is not found; one that names none is not looked at."""
    check_named(facts(), {})
    check_named(facts(), {"name": "tiny", "version": VERSION})
    for named in ({"name": "other"}, {"name": "tiny", "version": "ffffffffffff"}):
        with pytest.raises(Refusal) as caught:
            check_named(facts(), named)
        assert caught.value.status == 404
