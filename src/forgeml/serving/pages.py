"""The files of the page that people see: read once, served by their names, with a strict content policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""The browser runs and asks for nothing but what this server sends."""

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    """One file as it goes over the wire."""

    body: bytes
    headers: Mapping[str, str]
    """All but Content-Length."""

    def is_held(self, if_none_match: str | None) -> bool:
        """Whether the browser holds this very content, by the request's If-None-Match: 304 is enough then."""
        tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
        return self.headers["ETag"] in tags


def page(name: str) -> Page | None:
    """A file by its bare name, such as `index.html`; None for what is none of the files."""
    return _PAGES.get(name)


def _read_all() -> dict[str, Page]:
    folder = resources.files("forgeml.serving") / "page"
    files = [file for file in folder.iterdir() if _suffix(file.name) in CONTENT_TYPES]
    return {file.name: _page(file.name, file.read_bytes()) for file in files}


def _page(name: str, body: bytes) -> Page:
    headers = {
        "Content-Type": CONTENT_TYPES[_suffix(name)],
        "Content-Security-Policy": CONTENT_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # The browser asks each time whether its copy is still the one, so a new version is never mixed with an old one.
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    }
    return Page(body, MappingProxyType(headers))


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2]}"


_PAGES: Mapping[str, Page] = MappingProxyType(_read_all())
