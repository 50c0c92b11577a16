"""What is known of one request and its response."""

from __future__ import annotations

import pytest

from forgeml.serving.guarding.exchange import KEY, Exchange


def _exchange(*headers: tuple[bytes, bytes]) -> Exchange:
    scope = {"method": "GET", "headers": list(headers)}
    exchange = Exchange.of(scope)
    assert scope[KEY] is exchange
    return exchange


def test_a_request_keeps_its_name() -> None:
    """A name that the client has given is kept; without one each request gets its own."""
    assert _exchange((b"x-request-id", b"order-66.a_b")).request_id == "order-66.a_b"
    assert len({_exchange().request_id for _ in range(100)}) == 100


@pytest.mark.parametrize("name", [b"", b"a b", b"x" * 65, b"a\x1b[31m", b'"}', "é".encode()])
def test_a_name_that_is_more_than_a_name_is_not_kept(name: bytes) -> None:
    """What could be read as something else in a log or a header is replaced."""
    assert _exchange((b"x-request-id", name)).request_id.isalnum()
