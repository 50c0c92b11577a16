"""The local hub against the real client libraries, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_hub import LocalHub
from tiny import write_amazon_like_dataset, write_imdb_like_dataset, write_tiny_bert, write_tweet_eval_like_dataset

LOAD = """
import json
from datasets import load_dataset
from huggingface_hub import snapshot_download
from transformers import AutoModel, AutoTokenizer

folder = snapshot_download("someone/tiny-bert", revision="main")
model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
imdb = load_dataset("stanfordnlp/imdb", revision=IMDB_COMMIT)
sentiment = load_dataset("cardiffnlp/tweet_eval", "sentiment", split="train")
print(json.dumps({
    "snapshot": folder,
    "hidden": model.config.hidden_size,
    "class": type(tokenizer).__name__,
    "ids": tokenizer("A good film")["input_ids"],
    "rows": {name: split.num_rows for name, split in imdb.items()},
    "names": imdb["train"].features["label"].names,
    "unlabelled": sorted(set(imdb["unsupervised"]["label"])),
    "first": imdb["train"][0],
    "sentiment": sentiment.features["label"].names,
    "stored": imdb["train"].cache_files[0]["filename"],
}))
"""

MISS = """
import json
from huggingface_hub import hf_hub_download, snapshot_download

def raised(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__]

print(json.dumps({
    "repository": raised(snapshot_download, "someone/no-such-model"),
    "revision": raised(snapshot_download, "someone/tiny-bert", revision="v9"),
    "file": raised(hf_hub_download, "someone/tiny-bert", "pytorch_model.bin"),
    "gated": raised(snapshot_download, "someone/gated"),
    "renamed": snapshot_download("tiny-bert"),
}))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A hub with a model."""
    with LocalHub(tmp_path / "hub") as hub:
        hub.add_model("someone/tiny-bert", write_tiny_bert(tmp_path / "model"), aliases=["tiny-bert"])
        yield hub


@dataclass(frozen=True)
class Reply:
    """An answer that was read to its end, so that no connection is left open."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self) -> bytes:
        """The body."""
        return self.body


def ask(hub: LocalHub, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Reply:
    """Send one request and return the answer; redirects are followed."""
    request = urllib.request.Request(hub.endpoint + path, headers=dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return Reply(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        error.close()
        raise


def run_client(hub: LocalHub, home: Path, code: str, *, offline: bool = False) -> dict[str, Any]:
    """Run code in a new process that knows no hub but this one, and return the JSON that it prints."""
    environment = {**os.environ, **hub.environment(home, offline=offline), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_file_comes_with_the_facts_a_client_stores_it_by(hub: LocalHub) -> None:
    """A small file must be named by its git hash and a large one by its SHA-256, both with commit and size."""
    commit = hub.commit("models", "someone/tiny-bert")
    small = ask(hub, "/someone/tiny-bert/resolve/main/config.json", method="HEAD").headers
    large = ask(hub, f"/someone/tiny-bert/resolve/{commit}/model.safetensors", method="HEAD").headers
    assert small["X-Repo-Commit"] == large["X-Repo-Commit"] == commit
    assert (len(small["ETag"].strip('"')), small["X-Linked-Etag"]) == (40, None)
    assert len(large["X-Linked-Etag"].strip('"')) == 64
    assert large["X-Linked-Size"] == large["Content-Length"]


def test_part_of_a_file_can_be_fetched(hub: LocalHub) -> None:
    """A range must come as status 206 with just those bytes, as resumed downloads need it."""
    path = "/someone/tiny-bert/resolve/main/config.json"
    whole = ask(hub, path).read()
    part = ask(hub, path, {"Range": "bytes=10-"})
    assert (part.status, part.read()) == (206, whole[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{len(whole) - 1}/{len(whole)}"


def test_old_name_leads_to_the_new_one(hub: LocalHub) -> None:
    """A one-word name must be redirected to the owner's, query and all."""
    facts = json.load(ask(hub, "/api/models/tiny-bert/revision/main?blobs=true"))
    assert facts["id"] == "someone/tiny-bert"
    assert all(sibling["size"] > 0 for sibling in facts["siblings"])


def test_listing_shows_one_level_unless_asked_for_all(hub: LocalHub, tmp_path: Path) -> None:
    """A file listing must stop at folders when it is not recursive."""
    hub.add_dataset("someone/reviews", write_amazon_like_dataset(tmp_path / "reviews"))
    tree = "/api/datasets/someone/reviews/tree/main"
    assert [row["path"] for row in json.load(ask(hub, tree))] == ["amazon_polarity", "README.md"]
    assert len(json.load(ask(hub, f"{tree}?recursive=true"))) == 4
    assert len(json.load(ask(hub, f"{tree}/amazon_polarity"))) == 2


def test_commit_follows_the_contents(hub: LocalHub, tmp_path: Path) -> None:
    """New contents must give a new commit while the old commit is served unchanged, and the same ones the same."""
    old = hub.commit("models", "someone/tiny-bert")
    before = ask(hub, f"/someone/tiny-bert/resolve/{old}/model.safetensors").read()
    assert hub.add_model("someone/tiny-bert", write_tiny_bert(tmp_path / "model", seed=1)) != old
    assert ask(hub, f"/someone/tiny-bert/resolve/{old}/model.safetensors").read() == before
    assert ask(hub, "/someone/tiny-bert/resolve/main/model.safetensors").read() != before
    assert hub.add_model("someone/tiny-bert", write_tiny_bert(tmp_path / "again")) == old


def test_fault_hits_what_it_names(hub: LocalHub) -> None:
    """A fault must break the routes with that text in them and no others."""
    hub.faults["GET /someone/tiny-bert/resolve"] = (503, {"Retry-After": "1"})
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(hub, "/someone/tiny-bert/resolve/main/config.json")
    assert (raised.value.code, raised.value.headers["Retry-After"]) == (503, "1")
    assert ask(hub, "/someone/tiny-bert/resolve/main/config.json", method="HEAD").status == 200


def test_hiccup_hits_once(hub: LocalHub) -> None:
    """A hiccup must answer one request, with its body, and then be over; faults stay."""
    hub.hiccups["/api/models/someone/tiny-bert"] = (200, {}, b"please log in")
    assert ask(hub, "/api/models/someone/tiny-bert").read() == b"please log in"
    assert json.load(ask(hub, "/api/models/someone/tiny-bert"))["id"] == "someone/tiny-bert"


def test_branches_are_listed(hub: LocalHub) -> None:
    """The one branch must be told with its commit."""
    refs = json.load(ask(hub, "/api/models/someone/tiny-bert/refs"))
    assert [(ref["name"], ref["targetCommit"]) for ref in refs["branches"]] == [
        ("main", hub.commit("models", "someone/tiny-bert"))
    ]


def test_hub_goes_down_and_comes_back(hub: LocalHub) -> None:
    """A hub that is down must refuse connections, and must come back under the same address."""
    hub.down()
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(hub, "/api/models/someone/tiny-bert")
    hub.up()
    assert ask(hub, "/api/models/someone/tiny-bert").status == 200
    assert hub.requests == [("GET", "/api/models/someone/tiny-bert")]


@pytest.mark.slow
def test_clients_load_from_the_hub_and_again_from_their_cache(hub: LocalHub, tmp_path: Path) -> None:
    """The real libraries must load a model and data sets from the hub, and the same from the cache without it."""
    imdb = hub.add_dataset("stanfordnlp/imdb", write_imdb_like_dataset(tmp_path / "imdb"))
    hub.add_dataset("cardiffnlp/tweet_eval", write_tweet_eval_like_dataset(tmp_path / "tweet_eval"))
    code = f"IMDB_COMMIT = {imdb!r}\n{LOAD}"
    loaded = run_client(hub, tmp_path / "home", code)
    assert Path(loaded["snapshot"]).name == hub.commit("models", "someone/tiny-bert")
    assert (loaded["hidden"], loaded["class"], len(loaded["ids"])) == (32, "BertTokenizer", 5)
    assert loaded["rows"] == {"train": 120, "test": 60, "unsupervised": 60}
    assert (loaded["names"], loaded["unlabelled"]) == (["neg", "pos"], [-1])
    assert loaded["first"].keys() == {"text", "label"}
    assert loaded["sentiment"] == ["negative", "neutral", "positive"]
    assert Path(loaded["stored"]).parent.name == imdb
    hub.down()
    assert run_client(hub, tmp_path / "home", code, offline=True) == loaded


@pytest.mark.slow
def test_clients_tell_what_is_missing(hub: LocalHub, tmp_path: Path) -> None:
    """The real client must raise its own kind of error for a missing repository, revision, file or permission."""
    hub.faults["/someone/gated"] = (403, {"X-Error-Code": "GatedRepo"})
    raised = run_client(hub, tmp_path / "home", MISS)
    assert raised["repository"][0] == "RepositoryNotFoundError"
    assert raised["revision"][0] == "RevisionNotFoundError"
    assert "EntryNotFoundError" in raised["file"]
    assert raised["gated"][0] == "GatedRepoError"
    assert Path(raised["renamed"]).name == hub.commit("models", "someone/tiny-bert")
