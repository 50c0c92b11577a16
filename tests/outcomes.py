"""Many questions to the hub in one process of their own, as the libraries read their environment when imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_hub import LocalHub

Outcome = dict[str, Any]

SCRIPT = """
import json, sys, time
sleep = time.sleep
# The pauses of the libraries are what makes trouble slow; a fiftieth of them is as good for a test.
paused = []
time.sleep = lambda seconds: (paused.append(seconds), sleep(seconds / 50))

from forgeml.errors import ForgeError

def dataset(name, subset=None, revision=None):
    from forgeml.config.schema import DataConfig
    from forgeml.data.source import read_source
    source = read_source(DataConfig(dataset=name, subset=subset, revision=revision))
    return {
        "name": source.name, "revision": source.revision, "fetched": source.fetched, "stored": source.stored,
        "bytes": source.bytes, "notes": source.notes, "place": source.locate("train", 0),
        "text_column": source.text_column, "class_names": source.class_names,
        "rows": {split: len(table) for split, table in source.tables.items()},
    }

def pretrained(name, revision=None):
    from forgeml.model.pretrained import fetch_pretrained
    found = fetch_pretrained(name, revision)
    return {"name": found.name, "commit": found.commit, "fetched": found.fetched,
            "folder": found.folder, "note": found.note}

def model(name):
    # Without transformers, which takes seconds to import.
    from forgeml.hub.names import model_repository
    from forgeml.hub.client import fetch_model_files
    found = fetch_model_files(model_repository(name), None, ["config.json", "*.safetensors"])
    return {"name": model_repository(name), "commit": found.folder.name, "fetched": found.fetched,
            "folder": str(found.folder), "note": "; ".join(found.notes)}

read, cases = {"dataset": dataset, "model": model, "pretrained": pretrained}[sys.argv[1]], json.loads(sys.argv[2])
outcomes = {}
for name, arguments in cases.items():
    paused.clear()
    started = time.monotonic()
    try:
        outcomes[name] = read(*arguments)
    except ForgeError as error:
        first = error.problems[0]
        outcomes[name] = {"error": type(error).__name__, "exit_code": error.exit_code, "where": first.where,
                          "what": first.what, "fix": first.fix}
    outcomes[name] |= {"paused": sum(paused), "seconds": time.monotonic() - started}
print(json.dumps(outcomes))
"""


def run_outcomes(
    hub: LocalHub, home: Path, kind: str, cases: Mapping[str, Sequence[str | None]], *, offline: bool = False
) -> dict[str, Outcome]:
    """What comes of each case: the facts that were read, or the error and its words; anything but these fails."""
    environment = {**os.environ, **hub.environment(home, offline=offline)}
    command = [sys.executable, "-c", SCRIPT, kind, json.dumps(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(done.stdout.splitlines()[-1])) | {"stderr": {"text": done.stderr}}
