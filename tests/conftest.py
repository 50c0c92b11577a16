"""What the tests share: a home of their own, no network, a tiny model and data, and one classifier trained on them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from served import Running

# The libraries read these when they are imported, which is before any fixture runs.
os.environ.update(
    HOME=tempfile.mkdtemp(prefix="forgeml-tests-"),
    HF_HUB_OFFLINE="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    OMP_NUM_THREADS="1",
)
for inherited in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "XDG_CACHE_HOME", "MLFLOW_TRACKING_URI"):
    os.environ.pop(inherited, None)

import pytest

from forgeml.errors import Stopped
from tiny import write_reviews, write_tiny_bert

REPOSITORY = Path(__file__).parents[1]
STARTER = REPOSITORY / "quickstart" / "starter"


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stopping() -> Iterator[None]:
    """SIGTERM raises Stopped, as on the command line."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def anyio_backend() -> str:
    """Tests that are coroutines run on the loop that the server runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pre-trained BERT of 2 layers and width 32 with its tokenizer."""
    return write_tiny_bert(tmp_path_factory.mktemp("model") / "tiny-bert")


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.csv (240 rows) and test.csv (80 rows): made-up reviews, labels neg and pos."""
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews")


@pytest.fixture(scope="session")
def tiny_settings(tiny_model: Path, reviews: Path) -> dict[str, Any]:
    """A configuration that learns the tiny reviews in a second; add `output_dir` and the MLflow store."""
    return {
        "model": {"name": str(tiny_model), "max_length": 64},
        "data": {"dataset": str(reviews)},
        "training": {"batch_size": 16, "learning_rate": 3e-3, "num_epochs": 4, "precision": "fp32", "device": "cpu"},
    }


@pytest.fixture(scope="session")
def trained(tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of one finished training: `best_model/` and the store `mlflow.db`. Not to be written to."""
    from forgeml.config.schema import Config
    from forgeml.training.train import train

    folder = tmp_path_factory.mktemp("trained")
    store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    train(Config.model_validate({**tiny_settings, "mlflow": store, "output_dir": str(folder)}))
    return folder


@pytest.fixture
def saved(trained: Path, tmp_path: Path) -> Path:
    """A copy of the saved folder that can be changed."""
    return Path(shutil.copytree(trained / "best_model", tmp_path / "saved"))


@pytest.fixture(scope="session")
def engines(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved folder of the shared training with the files of all engines. Not to be written to."""
    for package in ("onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    from engines_made import with_all_engines

    return with_all_engines(trained / "best_model", tmp_path_factory.mktemp("engines") / "best_model")


@pytest.fixture(scope="session")
def serving(engines: Path) -> Iterator[Running]:
    """One server of the shared training for many tests; take `server`, which sees that it is well after each."""
    pytest.importorskip("fastapi")
    from served import running

    with running(engines) as server:
        yield server


@pytest.fixture
def server(serving: Running) -> Iterator[Running]:
    """The shared server; after the test it has to answer as before, with no failure and no text in its log."""
    yield serving
    serving.check()


@pytest.fixture(scope="session")
def starter() -> Path:
    """Folder of the starter model and data, as `make test` has fetched it."""
    if not (STARTER / "manifest.json").is_file():
        pytest.fail("the starter is not here; `make test` gets it, or run python quickstart/get_starter.py")
    return STARTER
