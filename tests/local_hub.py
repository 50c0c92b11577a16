"""A small model and dataset hub on this machine, so that the real client libraries can be tested without a network.

It serves folders under the routes that `huggingface_hub`, `transformers` and `datasets` ask for, and can be made to
fail on purpose. Point a client at it with the variables of `LocalHub.environment`: the libraries read them when they
are imported, so they have to be set before that, in practice for a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["models", "datasets"]

Piece = bytes | float
"""Of a body that comes in pieces: bytes to send, or seconds to wait before the next one."""
Body = bytes | Path | Sequence[Piece]
Fault = tuple[int, Mapping[str, str]] | tuple[int, Mapping[str, str], bytes | Sequence[Piece]]
"""Status, headers and body of an answer; the status SILENCE stands for none."""

SILENCE = 0
"""As a status: the request is taken, and nothing ever comes back."""
RESET = -1.0
"""As a piece of a body: the connection ends at once, as if a router had lost it."""

LARGE = 100_000
"""Files of more bytes than this are served as the hub serves files of its large-file storage."""

_ID = r"(?P<id>[^/]+(?:/[^/]+)??)"
_API = re.compile(
    rf"/api/(?P<kind>models|datasets)/{_ID}(?:/(?P<what>revision|tree|paths-info|refs)(?:/(?P<rest>.+))?)?"
)
_FILE = re.compile(rf"/(?P<datasets>datasets/)?{_ID}/resolve/(?P<rest>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


@dataclass(frozen=True)
class HubFile:
    """One file of a commit."""

    path: str
    """Inside the repository, with forward slashes."""
    place: Path
    size: int
    blob_id: str
    """SHA-1 as git computes it."""
    sha256: str

    @classmethod
    def of(cls, place: Path, path: str) -> Self:
        """Read the file once for its hashes."""
        content = place.read_bytes()
        blob_id = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return cls(path, place, len(content), blob_id, hashlib.sha256(content).hexdigest())

    @property
    def large(self) -> bool:
        """Whether it counts as a file of the large-file storage."""
        return self.size > LARGE

    def headers(self) -> dict[str, str]:
        """What a client wants to know before it downloads."""
        if not self.large:
            return {"ETag": f'"{self.blob_id}"'}
        return {"ETag": f'"{self.sha256}"', "X-Linked-Etag": f'"{self.sha256}"', "X-Linked-Size": str(self.size)}

    def entry(self) -> dict[str, Any]:
        """Its row in a file listing."""
        row: dict[str, Any] = {"type": "file", "path": self.path, "size": self.size, "oid": self.blob_id}
        if self.large:
            row["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return row

    def sibling(self) -> dict[str, Any]:
        """Its row among the facts on the repository, where the same things have other names."""
        row: dict[str, Any] = {"rfilename": self.path, "size": self.size, "blobId": self.blob_id}
        if self.large:
            row["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        return row


@dataclass
class Repository:
    """A model or a data set: its files by commit."""

    id: str
    head: str = ""
    """Commit that `main` points to."""
    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)

    def resolve(self, revision: str) -> str | None:
        """The commit behind a revision, None when there is no such revision."""
        commit = self.head if revision == "main" else revision
        return commit if commit in self.commits else None


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int = 200
    body: Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Self:
        """A JSON body."""
        return cls(body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    @classmethod
    def error(cls, status: int, code: str, headers: Mapping[str, str] | None = None) -> Self:
        """A refusal with the header by which the clients tell the kinds apart."""
        return cls(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code, **(headers or {})})


class LocalHub:
    """Serves copies of folders on 127.0.0.1 for as long as the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        """Keep the repositories' copies under `folder`."""
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, in the order of arrival."""
        self.ranges: list[tuple[str, str]] = []
        """Path, and which bytes were asked for, of every request of a part of a file."""
        self.over = threading.Event()
        """Ends all waiting of answers that come late or never."""
        self.faults: dict[str, Fault] = {}
        """Status, headers and body to answer with, by a part of `METHOD /path?query`; the first that fits is taken."""
        self.hiccups: dict[str, Fault] = {}
        """The same, but each for a single request; after it all is well."""
        self.endpoint = ""
        self._repositories: dict[tuple[Kind, str], Repository] = {}
        self._renamed: dict[tuple[Kind, str], str] = {}
        self.port = 0
        """That it listens on, once it has."""
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        """Start to listen on a free port."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening."""
        self.down()

    def up(self) -> None:
        """Listen: on a free port at first, later again on the one that clients know."""
        if self._server is not None:
            return
        self.over = threading.Event()
        self._server = _Server(("127.0.0.1", self.port), partial(_Handler, self))
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        """Refuse connections from now on, as when the hub or the network is away."""
        self.over.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def environment(self, home: Path, *, offline: bool = False) -> dict[str, str]:
        """Variables that make a new process use this hub alone, with its cache under `home`."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_TOKEN": "",
            # Each of these stops the libraries from calling an address that is not the endpoint.
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DISABLE_SAFETENSORS_CONVERSION": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def add_model(self, repo_id: str, folder: Path, aliases: Iterable[str] = ()) -> str:
        """Publish a copy of a folder as a model and return its commit."""
        return self._add("models", repo_id, folder, aliases)

    def add_dataset(self, repo_id: str, folder: Path, aliases: Iterable[str] = ()) -> str:
        """Publish a copy of a folder as a data set and return its commit."""
        return self._add("datasets", repo_id, folder, aliases)

    def commit(self, kind: Kind, repo_id: str) -> str:
        """Commit that the `main` revision of a repository points to."""
        return self._repositories[kind, repo_id].head

    def _add(self, kind: Kind, repo_id: str, folder: Path, aliases: Iterable[str]) -> str:
        """Make the folder the newest commit; adding to a repository again keeps its older commits."""
        originals = [HubFile.of(place, place.relative_to(folder).as_posix()) for place in _files_under(folder)]
        listing = "\n".join(f"{file.path} {file.blob_id}" for file in originals)
        commit = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()
        # Served from a copy, so that a commit stays what it is when a test changes its folder afterwards.
        store = self.folder / kind / repo_id / commit
        shutil.copytree(folder, store, dirs_exist_ok=True)
        repository = self._repositories.setdefault((kind, repo_id), Repository(repo_id))
        repository.commits[commit] = {
            file.path: HubFile(file.path, store / file.path, file.size, file.blob_id, file.sha256) for file in originals
        }
        repository.head = commit
        for alias in aliases:
            self._renamed[kind, alias] = repo_id
        return commit

    def answer(self, method: str, target: str, form: Mapping[str, list[str]]) -> Answer:
        """The reply to a request; `target` is the path with its query, `form` the fields of a posted form."""
        for faults in (self.hiccups, self.faults):
            for part, (status, headers, *body) in list(faults.items()):
                if part in f"{method} {target}":
                    if faults is self.hiccups:
                        del faults[part]
                    return Answer(status, body[0] if body else b"", headers)
        path = urlsplit(target).path
        if path == "/api/agent-harnesses":
            return Answer.of({})
        if found := _API.fullmatch(path):
            kind: Kind = "models" if found["kind"] == "models" else "datasets"
            return self._api(kind, found, target, form)
        if found := _FILE.fullmatch(path):
            return self._file("datasets" if found["datasets"] else "models", found, target)
        return Answer(404)

    def _api(self, kind: Kind, found: re.Match[str], target: str, form: Mapping[str, list[str]]) -> Answer:
        """Facts on a repository, a file listing, or facts on some paths."""
        revision, _, rest = (found["rest"] or "main").partition("/")
        located = self._locate(kind, found, unquote(revision), target)
        if isinstance(located, Answer):
            return located
        repository, commit = located
        if found["what"] == "refs":
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": commit}
            return Answer.of({"branches": [main], "converts": [], "tags": []})
        files = repository.commits[commit]
        if found["what"] == "tree":
            recursive = parse_qs(urlsplit(target).query).get("recursive", ["false"])[0].lower() in ("true", "1")
            return _tree(files, unquote(rest), recursive, commit)
        if found["what"] == "paths-info":
            entries = {row["path"]: row for row in _entries(files)}
            return Answer.of([entries[path] for path in form.get("paths", []) if path in entries])
        with_sizes = "blobs" in parse_qs(urlsplit(target).query)
        siblings = [file.sibling() if with_sizes else {"rfilename": file.path} for file in files.values()]
        facts = {"private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []}
        return Answer.of({"_id": commit[:24], "id": repository.id, "sha": commit, "siblings": siblings, **facts})

    def _file(self, kind: Kind, found: re.Match[str], target: str) -> Answer:
        """The bytes of one file."""
        revision, _, path = found["rest"].partition("/")
        located = self._locate(kind, found, unquote(revision), target)
        if isinstance(located, Answer):
            return located
        repository, commit = located
        headers = {"X-Repo-Commit": commit}
        file = repository.commits[commit].get(unquote(path))
        if file is None:
            return Answer.error(404, "EntryNotFound", headers)
        return Answer(200, file.place, {**headers, **file.headers(), "Accept-Ranges": "bytes"})

    def _locate(self, kind: Kind, found: re.Match[str], revision: str, target: str) -> tuple[Repository, str] | Answer:
        """The repository and the commit that a path speaks of, or why there is none."""
        if new_id := self._renamed.get((kind, found["id"])):
            start, end = found.span("id")
            return Answer(307, headers={"Location": target[:start] + new_id + target[end:]})
        repository = self._repositories.get((kind, found["id"]))
        if repository is None:
            # The real hub says 401 to whoever is not logged in, so as not to tell which private names exist.
            return Answer.error(401, "RepoNotFound")
        commit = repository.resolve(revision)
        return (repository, commit) if commit else Answer.error(404, "RevisionNotFound")


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that have gone."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of all but broken connections."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Passes requests to the hub and writes its answers."""

    protocol_version = "HTTP/1.1"

    def __init__(self, hub: LocalHub, *args: Any) -> None:
        """Keep the hub; the base class deals with the request inside its constructor."""
        self.hub = hub
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer with a body."""
        self._reply()

    def do_HEAD(self) -> None:
        """Answer with the headers only."""
        self._reply()

    def do_POST(self) -> None:
        """Answer a posted form."""
        self._reply()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: `LocalHub.requests` is the log."""

    def _reply(self) -> None:
        """Ask the hub and write what it says."""
        # Closed after each answer, since a connection that is kept alive would outlive `down`.
        self.close_connection = True
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        self.hub.requests.append((self.command, self.path))
        answer = self.hub.answer(self.command, self.path, form)
        if answer.status == SILENCE:
            self.hub.over.wait()
            return
        content = answer.body.read_bytes() if isinstance(answer.body, Path) else answer.body
        status, headers = answer.status, dict(answer.headers)
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted:
            self.hub.ranges.append((self.path, wanted.group()))
        if wanted and status == 200 and isinstance(content, bytes):
            status, content, extra = _part(content, wanted)
            headers |= extra
        self.send_response(status)
        # A fault may announce more than it sends, as when a connection breaks in the middle of a file.
        pieces = [content] if isinstance(content, bytes) else content
        length = sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        for name, value in {"Content-Length": str(length), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(pieces)

    def _send(self, pieces: Sequence[Piece]) -> None:
        """Write a body piece by piece."""
        for piece in pieces:
            if isinstance(piece, bytes):
                self.wfile.write(piece)
            elif piece == RESET:
                # With this option, closing sends a reset instead of the rest.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            elif self.hub.over.wait(piece):
                return


def _part(content: bytes, wanted: re.Match[str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, bytes and headers for a request of some of the bytes."""
    first = int(wanted["first"])
    last = min(int(wanted["last"] or len(content) - 1), len(content) - 1)
    if first > last:
        return 416, b"", {"Content-Range": f"bytes */{len(content)}"}
    return 206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"}


def _files_under(folder: Path) -> list[Path]:
    """All files below a folder, sorted."""
    return sorted(place for place in folder.rglob("*") if place.is_file())


def _entries(files: Mapping[str, HubFile]) -> list[dict[str, Any]]:
    """Listing rows of the folders and of the files."""
    folders = {parent.as_posix() for path in files for parent in PurePosixPath(path).parents} - {"."}
    rows = [{"type": "directory", "path": path, "size": 0, "oid": _folder_id(path)} for path in sorted(folders)]
    return rows + [file.entry() for file in files.values()]


def _folder_id(path: str) -> str:
    """Something that looks like a git tree id; no client looks at more than its presence."""
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()


def _tree(files: Mapping[str, HubFile], path: str, recursive: bool, commit: str) -> Answer:
    """Listing of a folder; the root has the empty path."""
    rows = [row for row in _entries(files) if not path or row["path"].startswith(f"{path}/")]
    if path and not rows:
        return Answer.error(404, "EntryNotFound", {"X-Repo-Commit": commit})
    depth = len(PurePosixPath(path).parts) + 1
    return Answer.of([row for row in rows if recursive or len(PurePosixPath(row["path"]).parts) == depth])
