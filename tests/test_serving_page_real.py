"""The page in a real browser, before the real server with a real model."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from forgeml.inference.classifier import Classifier
from page_browser import open_browser, watched_visits
from served import ENGINE, running

pytestmark = pytest.mark.slow


class Served(NamedTuple):
    """A server for the pages to be opened at."""

    address: str


@pytest.fixture
def server(engines: Path) -> Iterator[Served]:
    """The trained model behind `forgeml serve`."""
    with running(engines, "--engine", ENGINE) as process:
        yield Served(f"http://127.0.0.1:{process.port}")


def test_from_a_text_to_a_labelled_file(server: Served, engines: Path, tmp_path: Path) -> None:
    """A text gets the classifier's answer with its words marked, a file comes back labelled, the docs show all."""
    classifier = Classifier.from_pretrained(engines, engine=ENGINE)
    texts = ["A lovely film", "boring, bad and dull", "the river"]
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in texts))
    with open_browser() as browser, watched_visits(browser) as visit:
        page = visit(server)  # type: ignore[arg-type]
        page.fill("#try-text", texts[0])
        page.keyboard.press("Control+Enter")
        expect(page.locator("#try-result .bars .name").first).to_have_text(str(classifier.predict(texts)[0].label))
        expect(page.locator("#why-words mark").first).to_be_visible(timeout=30_000)
        page.locator("#tab-model").click()
        expect(page.locator("#panel-model")).to_contain_text(ENGINE)
        page.locator("#tab-file").click()
        page.set_input_files("#file-input", str(tmp_path / "texts.csv"))
        page.locator("#file-start").click()
        with page.expect_download() as download:
            page.locator("#file-download").click(timeout=30_000)
        download.value.save_as(tmp_path / "back.csv")
        with (tmp_path / "back.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["label"] for row in rows] == [one.label for one in classifier.predict(texts)]
        assert [row["text"] for row in rows] == texts
        docs = visit(server, "/docs")  # type: ignore[arg-type]
        expect(docs.locator("body")).to_contain_text("/predict/batch")
