from __future__ import annotations

from forgeml.serving.transport.application import Application
from small_application import SmallApplication


def test_the_small_application_is_one() -> None:
    """The application that the transport is tested with has all that one must have, and no more of it."""
    wanted = {name for name in vars(Application) if not name.startswith("_")} | {"__call__"}
    small = SmallApplication()
    application: Application = small
    assert all(hasattr(application, name) for name in wanted)
    assert wanted == {
        "__call__",
        "client_gone",
        "connections_changed",
        "drain",
        "limits",
        "loaded",
        "overloaded",
        "refused",
    }
