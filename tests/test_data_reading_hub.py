"""Data sets from the hub: what arrives, and what is said when nothing does, with the real libraries and a local hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_hub import LocalHub
from outcomes import run_outcomes
from tiny import (
    write_amazon_like_dataset,
    write_broken_dataset,
    write_imdb_like_dataset,
    write_script_dataset,
    write_tweet_eval_like_dataset,
)

pytestmark = pytest.mark.slow

IMDB, TWEETS, AMAZON = "stanfordnlp/imdb", "cardiffnlp/tweet_eval", "fancyzhx/amazon_polarity"
LOGIN_PAGE = b"<html><body>Please log in to the network of this hotel.</body></html>"

READS = {
    "imdb": ["imdb"],
    "imdb again": [IMDB],
    "old name": ["reviews"],
    "tweets": ["tweet_eval"],
    "ironic tweets": ["tweet_eval", "irony"],
    "amazon": ["amazon_polarity"],
}
FAILS = {
    "no revision": ["someone/subsets", "irony", "mian"],
    "missing": ["someone/nothing"],
    "one word": ["imbd"],
    "unknown word": ["qwertyuiop"],
    "gated": ["someone/gated"],
    "bad token": ["someone/token"],
    "spaces": ["my own reviews"],
    "address": ["https://hub.example/datasets/stanfordnlp/imdb/tree/main"],
    "wrong subset": ["tweet_eval", "sentimnt"],
    "subset needed": ["someone/subsets"],
    "500": ["someone/broken"],
    "429": ["someone/limited"],
    "503 on a body": ["someone/body"],
    "404 of a file": ["someone/file"],
    "portal": ["someone/portal"],
    "script": ["someone/script"],
    "not a table": ["someone/garbage"],
}
TOPICS = "someone/topics"
ONLINE = {"newest": [TOPICS], "branch": [TOPICS, None, "main"]}
HICCUPS = {"503 once": ["someone/hiccup"]}
BOTH = {subset: ["someone/subsets", subset] for subset in ("irony", "sentiment")}


@dataclass(frozen=True)
class Outcomes:
    """What came of reading, online and later without the hub."""

    online: dict[str, dict[str, Any]]
    down: dict[str, dict[str, Any]]
    offline: dict[str, dict[str, Any]]
    pinned: dict[str, dict[str, Any]]
    """Commits that are cached, read once more while the hub is there."""
    asked: list[str]
    """What that asked the hub for."""
    again: dict[str, Any]
    """A data set that is cached, asked for without a commit."""
    asked_again: list[str]
    commits: dict[str, str]
    old: str
    """Commit of the data set of two commits that is not the newest."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """All cases: one process online, one while the hub is down, one told to stay offline."""
    folder = tmp_path_factory.mktemp("hub")
    home = folder / "home"
    with LocalHub(folder / "hub") as hub:
        _publish(hub, folder)
        commits = {name: hub.commit("datasets", name) for name in (IMDB, TWEETS, AMAZON)}
        old, new = _publish_two_commits(hub, folder)
        revisions = {
            "newest": [TOPICS],
            "branch": [TOPICS, None, "main"],
            "commit": [TOPICS, None, old],
            "short": [TOPICS, None, old[:10]],
            "not cached": [TOPICS, None, "0" * 40],
        }
        # What a killed process leaves: a folder that is being prepared, with half a file in it.
        _leave_unfinished(home, commits[IMDB])
        online = run_outcomes(
            hub, home, "dataset", {**READS, **FAILS, **HICCUPS, **BOTH, **ONLINE, "commit": [TOPICS, None, old]}
        )
        before = len(hub.requests)
        pins = {"default subset": [TOPICS, None, old], "subset of its own": ["tweet_eval", None, commits[TWEETS]]}
        pins["subset that the hub chose"] = ["imdb", None, commits[IMDB]]
        pinned = run_outcomes(hub, home, "dataset", pins)
        asked = [target for _, target in hub.requests[before:]]
        before = len(hub.requests)
        again = run_outcomes(hub, home, "dataset", {"imdb": ["imdb"]})["imdb"]
        asked_again = [target for _, target in hub.requests[before:]]
        # The same of a later commit, which must not be taken for the newest copy.
        _leave_unfinished(home, "f" * 40)
        hub.down()
        cases = {**READS, "uncached": ["someone/nothing"], "other subset": ["tweet_eval", "hate"], **revisions}
        down = run_outcomes(hub, home, "dataset", cases)
        offline = run_outcomes(hub, home, "dataset", {**cases, "several": ["someone/subsets"]}, offline=True)
    return Outcomes(online, down, offline, pinned, asked, again, asked_again, {**commits, TOPICS: new}, old)


def _publish(hub: LocalHub, folder: Path) -> None:
    tweets = write_tweet_eval_like_dataset(folder / "tweets")
    small = write_amazon_like_dataset(folder / "amazon")
    hub.add_dataset(IMDB, write_imdb_like_dataset(folder / "imdb"), aliases=["imdb"])
    hub.add_dataset(TWEETS, tweets)
    hub.add_dataset(AMAZON, small)
    hub.add_dataset("someone/reviews", small, aliases=["reviews"])
    hub.add_dataset("someone/subsets", tweets)
    hub.add_dataset("someone/script", write_script_dataset(folder / "script", "script"))
    hub.add_dataset("someone/garbage", write_broken_dataset(folder / "garbage"))
    for name in ("gated", "token", "broken", "limited", "body", "file", "portal", "hiccup"):
        hub.add_dataset(f"someone/{name}", small)
    hub.faults |= {
        "someone/gated": (403, {"X-Error-Code": "GatedRepo"}),
        "someone/token": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        "someone/broken": (500, {}),
        "someone/limited": (429, {"Retry-After": "7"}),
        "GET /datasets/someone/body/resolve": (503, {}),
        "GET /datasets/someone/file/resolve": (404, {"X-Error-Code": "EntryNotFound"}),
        "someone/portal": (200, {"Content-Type": "text/html"}, LOGIN_PAGE),
    }
    hub.hiccups |= {
        "GET /api/datasets/someone/hiccup": (503, {}),
        "GET /datasets/someone/hiccup/resolve": (503, {}),
    }


CARD = """---
dataset_info:
  features:
  - name: text
    dtype: string
  - name: topics
    sequence:
      class_label:
        names:
          '0': sport
          '1': politics
---
"""


def _publish_two_commits(hub: LocalHub, folder: Path) -> list[str]:
    """A data set with lists of classes, first with two rows and then with three."""
    place = folder / "topics"
    place.mkdir()
    (place / "README.md").write_text(CARD)
    commits = []
    for rows in (2, 3):
        table = pa.table({"text": list("abc")[:rows], "topics": [[0], [0, 1], []][:rows]})
        pq.write_table(table, place / "train.parquet")
        commits.append(hub.add_dataset(TOPICS, place))
    return commits


def _leave_unfinished(home: Path, commit: str) -> None:
    folder = home / "datasets" / "stanfordnlp___imdb" / "plain_text" / "0.0.0" / f"{commit}.incomplete"
    folder.mkdir(parents=True)
    (folder / "imdb-train.arrow").write_bytes(b"half a fi")


@pytest.mark.parametrize("name", READS)
def test_what_is_there_is_read(outcomes: Outcomes, name: str) -> None:
    """Every data set that the hub has must be read, with the commit that it was read at."""
    read = outcomes.online[name]
    assert "error" not in read, read
    assert len(read["revision"]) == 40
    assert Path(read["stored"]).name == read["revision"]
    assert read["bytes"] > 1000


def test_rows_and_class_names_arrive_as_they_are_declared(outcomes: Outcomes) -> None:
    """Splits must keep their sizes, class names their order, and -1 must stay for the split to leave out."""
    imdb = outcomes.online["imdb"]
    assert imdb["name"] == IMDB
    assert imdb["revision"] == outcomes.commits[IMDB]
    assert imdb["rows"] == {"train": 120, "test": 60, "unsupervised": 60}
    assert imdb["class_names"] == {"label": ["neg", "pos"]}


def test_copy_is_fetched_once(outcomes: Outcomes) -> None:
    """The first read must be said to come over the network, and later ones to come from the cache."""
    assert outcomes.online["imdb"]["fetched"]
    assert not outcomes.online["imdb again"]["fetched"]
    assert not any(outcomes.down[name]["fetched"] for name in READS)


def test_revision_is_read_as_it_is_asked_for(outcomes: Outcomes) -> None:
    """A branch must give what it points to, and a commit itself, though another is the newest."""
    for name in ("newest", "branch"):
        assert (outcomes.online[name]["revision"], outcomes.online[name]["rows"]) == (
            outcomes.commits[TOPICS],
            {"train": 3},
        )
    assert (outcomes.online["commit"]["revision"], outcomes.online["commit"]["rows"]) == (outcomes.old, {"train": 2})


@pytest.mark.parametrize("way", ["down", "offline"])
def test_revision_holds_for_the_cache_as_well(outcomes: Outcomes, way: str) -> None:
    """Without the hub a commit, in full or by its beginning, must be that one; a branch what it stood for at last."""
    without = getattr(outcomes, way)
    for name in ("commit", "short"):
        assert (without[name]["revision"], without[name]["rows"]) == (outcomes.old, {"train": 2})
    # Though the older commit was prepared last.
    for name in ("newest", "branch"):
        assert without[name]["revision"] == outcomes.commits[TOPICS]
    assert without["branch"]["notes"] == without["newest"]["notes"]
    assert f"the cache has {TOPICS} only at other commits than 0000" in without["not cached"]["what"]


def test_lists_of_classes_have_their_names(outcomes: Outcomes) -> None:
    """A column that holds several classes a row must bring their names, as one with a single class does."""
    assert outcomes.online["newest"]["class_names"] == {"topics": ["sport", "politics"]}


def test_rows_are_named_for_messages(outcomes: Outcomes) -> None:
    """A row must be told by the data set, the split and its number from 1."""
    assert outcomes.online["imdb"]["place"] == f"{IMDB} train row 1"


def test_known_data_sets_need_no_subset_or_column(outcomes: Outcomes) -> None:
    """The table must choose the sentiment tweets and the text column of the Amazon reviews; a subset given wins."""
    assert outcomes.online["tweets"]["class_names"] == {"label": ["negative", "neutral", "positive"]}
    assert outcomes.online["ironic tweets"]["class_names"] == {"label": ["non_irony", "irony"]}
    assert outcomes.online["amazon"]["text_column"] == "content"


def test_older_name_of_one_word_is_followed(outcomes: Outcomes) -> None:
    """A name of one word that the hub still knows must be read under its owner's name, and found again offline."""
    assert outcomes.online["old name"]["name"] == "someone/reviews"
    assert outcomes.offline["old name"]["rows"] == outcomes.online["old name"]["rows"]


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("way", ["down", "offline"])
def test_cached_copy_serves_without_the_hub(outcomes: Outcomes, way: str, name: str) -> None:
    """What was read once must be read again, the same and at once, while the hub is down or must not be asked."""
    without = getattr(outcomes, way)[name]
    assert "error" not in without, without
    assert without["paused"] < 5
    different = {key for key, value in outcomes.online[name].items() if without[key] != value}
    assert different <= {"fetched", "paused", "notes", "seconds"}


def test_hub_is_not_asked_for_a_commit_that_is_cached(outcomes: Outcomes) -> None:
    """A commit cannot change, so its prepared copy must serve without a request."""
    assert outcomes.asked == []
    assert outcomes.pinned["default subset"]["revision"] == outcomes.old
    assert outcomes.pinned["subset of its own"]["rows"] == outcomes.online["tweets"]["rows"]
    assert outcomes.pinned["subset that the hub chose"]["rows"] == outcomes.online["imdb"]["rows"]


def test_hub_is_asked_once_for_what_is_cached(outcomes: Outcomes) -> None:
    """A branch may have moved, which is one question; all else is in the cache."""
    assert outcomes.again["revision"] == outcomes.commits[IMDB]
    assert outcomes.asked_again == ["/api/datasets/stanfordnlp/imdb"]


def test_brief_trouble_is_sat_out(outcomes: Outcomes) -> None:
    """One 503 for the facts and one for a file's body must not end the run."""
    assert outcomes.online["503 once"].get("rows") == {"train": 120, "test": 60}


@pytest.mark.parametrize(
    ("name", "kind", "what", "fix"),
    [
        ("no revision", "HubError", "someone/subsets has no revision 'mian'", "did you mean main? it has main"),
        ("missing", "HubError", "someone/nothing is neither on the hub nor a local file", "HF_TOKEN"),
        ("one word", "HubError", "imbd is neither on the hub", "did you mean imdb?"),
        ("unknown word", "HubError", "qwertyuiop is neither", "write owner/name"),
        (
            "gated",
            "HubError",
            "someone/gated is gated",
            "ask for it on its page, set HF_TOKEN to a token that has access (it is not set)",
        ),
        ("bad token", "HubError", "answered 401", "set HF_TOKEN to a valid one"),
        ("spaces", "HubError", "'my own reviews' is no name", "write owner/name"),
        ("address", "HubError", "is no name that the hub could have", "write stanfordnlp/imdb"),
        ("wrong subset", "DataError", "no subset 'sentimnt'", "did you mean sentiment?"),
        ("subset needed", "DataError", "several subsets, and none is chosen; it has irony, sentiment", "data.subset"),
        ("500", "HubError", "answered 500 for someone/broken", "try again"),
        ("429", "HubError", "answered 429 for someone/limited", "in 7 seconds"),
        ("503 on a body", "HubError", "answered 503", "try again"),
        ("404 of a file", "HubError", "answered 404", "page shows all its files"),
        ("portal", "HubError", "is not a model hub", "HF_ENDPOINT"),
        ("script", "DataError", "Python script", "choose a data set that comes as files"),
        ("not a table", "DataError", "its files cannot be read", "choose another"),
    ],
)
def test_trouble_is_told_in_plain_words(outcomes: Outcomes, name: str, kind: str, what: str, fix: str) -> None:
    """Each kind of trouble must be an error of its own kind that says what was found and what to do."""
    error = outcomes.online[name]
    assert error["error"] == kind, error
    assert error["exit_code"] == (3 if kind == "DataError" else 6)
    assert what in error["what"]
    assert fix in error["fix"]


def test_hub_that_is_away_is_named(outcomes: Outcomes) -> None:
    """While the hub is down, an uncached data set must fail at once with the address and the variable that sets it."""
    error = outcomes.down["uncached"]
    assert (error["error"], error["exit_code"]) == ("HubError", 6)
    assert "http://127.0.0.1:" in error["what"]
    assert "refused" in error["what"]
    assert "HF_ENDPOINT" in error["fix"]
    assert error["paused"] < 5


def test_offline_names_cache_and_switch(outcomes: Outcomes) -> None:
    """Offline, an uncached data set must fail with the cache that was looked in and the switch that forbids more."""
    error = outcomes.offline["uncached"]
    assert (error["error"], error["exit_code"]) == ("HubError", 6)
    assert str(Path("home") / "datasets") in error["what"]
    assert "HF_HUB_OFFLINE=1" in error["what"]
    assert "HF_HUB_OFFLINE=0" in error["fix"]


def test_subset_that_is_not_cached_is_told_from_those_that_are(outcomes: Outcomes) -> None:
    """Without the hub, a subset that is not cached must be a matter of the hub, with the cached ones listed."""
    error = outcomes.offline["other subset"]
    assert error["exit_code"] == 6
    assert "the cache has only the subsets irony, sentiment of cardiffnlp/tweet_eval" in error["what"]


def test_unfinished_copy_of_a_killed_run_does_no_harm(outcomes: Outcomes) -> None:
    """Half a copy must be finished online, and never be taken for a whole one without the hub."""
    assert outcomes.online["imdb"]["fetched"]
    assert outcomes.offline["imdb"]["revision"] == outcomes.down["imdb"]["revision"] == outcomes.commits[IMDB]


def test_cached_subsets_are_not_guessed_from(outcomes: Outcomes) -> None:
    """Offline, with several subsets in the cache and none chosen, the choice must be asked for."""
    error = outcomes.offline["several"]
    assert (error["error"], error["where"]) == ("DataError", "data.subset")
    assert "the cache has irony, sentiment" in error["what"]


def test_libraries_keep_quiet(outcomes: Outcomes) -> None:
    """With and without trouble, nothing but ForgeML's own words must come out where stderr is no terminal."""
    assert [run["stderr"]["text"] for run in (outcomes.online, outcomes.down, outcomes.offline)] == ["", "", ""]
