"""The server as an ASGI application: every route, with the numbers of the pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from asgi import JSON, Answered, ask
from forgeml.errors import ConfigError, ModelError
from forgeml.serving.app import App, Settings, create_app
from forgeml.serving.limits import Limits

TEXTS = ["A lovely, funny film.", "boring", "a good film and a bad ending " * 40]


@pytest.fixture
async def app(engines: Path) -> AsyncIterator[App]:
    """The server of the trained model in exact fp32, ready."""
    made = App(Settings(str(engines), "onnx-fp32", watch_s=0))
    made.current.load()
    yield made
    made.current.close()


async def _post(app: App, path: str, body: Any) -> Answered:
    answered = await ask(app, "POST", path, body)
    assert answered is not None
    return answered


async def _get(app: App, path: str, **headers: str) -> Answered:
    answered = await ask(app, "GET", path, headers=JSON | headers)
    assert answered is not None
    return answered


FROM: dict[str, tuple[Callable[[str], Any], Callable[[Any], dict[str, float]]]] = {
    "/predict": (lambda text: {"text": text}, lambda said: said["scores"]),
    "/predict/batch": (lambda text: {"texts": [text]}, lambda said: said["predictions"][0]["scores"]),
    "/": (
        lambda text: {"inputs": text, "parameters": {"top_k": None}},
        lambda said: {one["label"]: one["score"] for one in said},
    ),
    "/invocations": (lambda text: {"inputs": [text]}, lambda said: said["predictions"][0]["scores"]),
    "/v2/models/best_model/infer": (
        lambda text: {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]},
        lambda said: dict(
            zip(
                ("neg", "pos"),
                next(one["data"] for one in said["outputs"] if one["name"] == "scores"),
                strict=True,
            )
        ),
    ),
}
"""How each route is asked about one text, and where the scores of its answer are."""


@pytest.mark.parametrize("path", FROM)
async def test_every_route_says_what_the_pipeline_says(app: App, engines: Path, path: str) -> None:
    """With an exact engine the scores of every format are those of transformers' pipeline."""
    real = pipeline("text-classification", str(engines), device="cpu")
    make, scores = FROM[path]
    for text in TEXTS:
        answered = await _post(app, path, make(text))
        assert answered.status == 200
        expected = {one["label"]: one["score"] for one in real(text, top_k=None, truncation=True, max_length=64)}
        assert scores(answered.json) == pytest.approx(expected, abs=1e-5)
        assert answered.headers["x-model-version"] == app.current.served.facts.version  # type: ignore[union-attr]


async def test_explanations(app: App) -> None:
    """The words of a text with their places and weights, and the version of the model."""
    said = (await _post(app, "/explain", {"text": "A lovely film", "label": "pos"})).json
    assert [word["text"] for word in said["words"]] == ["A", "lovely", "film"]
    assert (said["label"], len(said["model_version"])) == ("pos", 12)
    assert (await _post(app, "/explain", {"text": "a", "label": "maybe"})).status == 422


async def test_health(app: App, engines: Path) -> None:
    """The process lives from the start on; requests are answered when the model is there, and until it drains."""
    loading = App(Settings(str(engines), "onnx-fp32", watch_s=0))
    for path, early in (
        ("/healthz", 200),
        ("/readyz", 503),
        ("/health", 503),
        ("/ping", 503),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 503),
    ):
        assert (await _get(loading, path)).status == early
        assert (await _get(app, path)).status == 200
    assert (await _get(loading, "/info")).status == 503
    app.drain()
    assert ((await _get(app, "/readyz")).status, (await _get(app, "/healthz")).status) == (503, 200)
    assert (await _post(app, "/predict", {"text": "a"})).status == 200


async def test_what_it_tells_of_itself(app: App) -> None:
    """The model, its metrics, the limits, and counts."""
    info = (await _get(app, "/info")).json
    assert info["model"]["engine"] == "onnx-fp32"
    assert info["metrics"]["test"]["accuracy"] > 0.5
    assert info["limits"] == Limits().as_dict()
    await _post(app, "/predict", {"text": "a"})
    counts = (await _get(app, "/metrics")).body.decode()
    assert 'forgeml_requests_total{route="/predict",status="200"} 1.0' in counts
    assert (await _get(app, "/v2")).json["name"]
    assert (await _get(app, "/v2/models/best_model")).json["versions"] == [info["model"]["version"]]
    assert (await _get(app, "/v2/models/best_model/ready")).json["ready"] is True
    assert (await _get(app, "/v2/models/other")).status == 404
    assert (await _get(app, "/version")).body


async def test_counts_have_no_names_of_clients(app: App) -> None:
    """However many paths and methods are tried, the counts have the same few labels."""
    for number in range(20):
        await _get(app, f"/nowhere-{number}")
    await ask(app, "PATCH", "/predict")
    counts = (await _get(app, "/metrics")).body.decode()
    assert "nowhere" not in counts
    assert 'route="other",status="404"} 20.0' in counts


async def test_pages(app: App) -> None:
    """The page and its parts come with a strict content policy, are not sent again unchanged, and are no folder."""
    page = await _get(app, "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await _get(app, "/", **{"if-none-match": page.headers["etag"]})).status == 304
    assert (await _get(app, "/page/app.js")).status == 200
    assert (await _get(app, "/docs")).status == 200
    for name in ("../app.py", "..%2fapp.py", "/etc/passwd", "", "index.html", "docs.html"):
        path = f"/page/{name}"
        assert (await _get(app, path)).status == 404


async def test_the_document_has_every_route(app: App, engines: Path) -> None:
    """Each operation has a summary, and the shapes of its bodies and of its errors; without docs there is none."""
    document = (await _get(app, "/openapi.json")).json
    for route in app.routes:
        if route.shown:
            operation = document["paths"][route.path][route.method.lower()]
            assert operation["summary"]
            assert ("requestBody" in operation) == (route.method == "POST")
            assert "200" in operation["responses"]
    hidden = App(Settings(str(engines), docs=False))
    assert ((await _get(hidden, "/openapi.json")).status, (await _get(hidden, "/docs")).status) == (404, 404)


async def test_unknown_paths_and_methods(app: App) -> None:
    """A path that is not there is a 404 and a method that is not there a 405 that names those that are."""
    assert (await _get(app, "/predict/")).json["code"] == "not_found"
    answered = await ask(app, "DELETE", "/predict")
    assert answered is not None
    assert (answered.status, answered.headers["allow"], answered.json["code"]) == (405, "POST", "wrong_method")
    head = await ask(app, "HEAD", "/readyz")
    assert head is not None
    assert head.status == 200


async def test_when_too_much_waits(app: App) -> None:
    """The transport is told beforehand which requests have no chance; health and pages always have one."""
    assert app.overloaded(b"POST", b"/predict") is None
    app._answerer._count(Limits().waiting_texts)
    for method, path, refused in (
        (b"POST", b"/predict", True),
        (b"POST", b"/", True),
        (b"POST", b"/v2/models/best_model/infer", True),
        (b"GET", b"/", False),
        (b"GET", b"/readyz", False),
        (b"POST", b"/nowhere", False),
    ):
        refusal = app.overloaded(method, path)
        assert (refusal is not None) == refused
    assert (await _post(app, "/predict", {"text": "a"})).status == 503
    app._answerer._count(-Limits().waiting_texts)
    assert (await _post(app, "/predict", {"text": "a"})).status == 200


async def test_any_asgi_server_can_run_it(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made from the environment, it loads when the server starts, tells when that is done, and ends its threads."""
    monkeypatch.setenv("FORGEML_MODEL", str(engines))
    monkeypatch.setenv("FORGEML_ENGINE", "onnx-int8")
    app = create_app()
    said: list[str] = []

    async def receive() -> dict[str, str]:
        if not said:
            return {"type": "lifespan.startup"}
        await app.loaded()
        assert (await _post(app, "/predict", {"text": "a"})).status == 200
        return {"type": "lifespan.shutdown"}

    async def send(message: dict[str, str]) -> None:
        said.append(message["type"])

    await app({"type": "lifespan"}, receive, send)  # type: ignore[arg-type]
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_what_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder named there is no application, and one whose folder is not there tells why."""
    monkeypatch.delenv("FORGEML_MODEL", raising=False)
    with pytest.raises(ConfigError):
        create_app()
    app = App(Settings("nowhere", watch_s=0))
    app.current.start()
    with pytest.raises(ModelError):
        await app.loaded()
    assert (await _get(app, "/readyz")).json["status"] == "failed"
    app.current.close()
