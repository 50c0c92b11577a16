"""The files of the page: what is served of them, and what they may not hold."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from forgeml.serving.pages import CONTENT_POLICY, CONTENT_TYPES, Page, page

NAMES = sorted(file.name for file in (resources.files("forgeml.serving") / "page").iterdir())
HTML = [name for name in NAMES if name.endswith(".html")]


def _found(name: str) -> Page:
    found = page(name)
    assert found is not None, name
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_with_the_policy(name: str) -> None:
    """The headers say what the file is, what it may do, and that the browser must not guess."""
    found = _found(name)
    assert found.headers["Content-Type"] == CONTENT_TYPES[f".{name.rpartition('.')[2]}"]
    assert found.headers["Content-Security-Policy"] == CONTENT_POLICY
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Referrer-Policy"] == "no-referrer"
    assert found.headers["Cache-Control"] == "no-cache"


def test_policy_is_the_promised_one() -> None:
    """Nothing inline, nothing from elsewhere, no frames."""
    assert CONTENT_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "../pages.py", "/etc/passwd", "page/app.js", "APP.JS", "nothing.js"])
def test_only_names_of_files_are_served(name: str) -> None:
    """A name is looked up in a table, so no path leads anywhere."""
    assert page(name) is None


def test_tables_cannot_be_changed() -> None:
    """What all requests share is frozen."""
    with pytest.raises(TypeError):
        _found("index.html").headers["ETag"] = "another"  # type: ignore[index]


def test_tag_tells_contents_apart() -> None:
    """Each file has its own tag, and a browser that holds it is told so, as HTTP compares tags."""
    tag = _found("app.js").headers["ETag"]
    assert tag != _found("index.html").headers["ETag"]
    assert all(_found("app.js").is_held(held) for held in (tag, f"W/{tag}", f'"other", {tag}'))
    assert not any(_found("app.js").is_held(held) for held in (None, "", '"other"', tag.strip('"')))


@pytest.mark.parametrize("name", HTML)
def test_pages_hold_nothing_inline_and_nothing_foreign(name: str) -> None:
    """Scripts, styles and handlers stand in files of their own, and each address is relative and served."""
    text = _found(name).body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', text)
    assert addresses
    for address in addresses:
        assert page(address.removeprefix("page/")) or address in ("./", "docs", "openapi.json"), address


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_scripts_import_what_is_served_and_never_write_html(name: str) -> None:
    """Texts and labels can hold anything, so they are never read as HTML or run."""
    text = _found(name).body.decode()
    assert all(page(imported.removeprefix("./")) for imported in re.findall(r'from "([^"]+)"', text))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://", text
    )


@pytest.mark.parametrize("name", NAMES)
def test_files_are_of_a_readable_size(name: str) -> None:
    """What holds for modules holds for these: up to 300 lines, and lines up to 120."""
    lines = _found(name).body.decode().splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines)) <= 120
