from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from forgeml.config.loading import flatten, load_config, setting_names
from forgeml.config.settings import plain

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "config.yaml"
EXAMPLES = sorted((ROOT / "configs").glob("*.yaml"))
GOLDEN = ROOT / "tests" / "golden" / "config.txt"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", [SHIPPED, *EXAMPLES], ids=lambda path: path.name)
def test_every_shipped_file_loads(path: Path) -> None:
    """No file that people start from has a mistake in it, and each points editors at the schema."""
    load_config(path)
    hint = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert hint is not None
    assert (path.parent / hint[1]).is_file()


def test_the_examples_are_there() -> None:
    """The worked examples are found where this test looks for them."""
    assert {path.stem for path in EXAMPLES} >= {"tweets", "amazon", "csv", "early"}


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_shown(name: str) -> None:
    """Each setting has a line in config.yaml, under its section and with a comment, and a row in the reference."""
    section, _, key = name.rpartition(".")
    text = SHIPPED.read_text(encoding="utf-8")
    block = re.search(rf"^{section}:\n(?:(?: .*)?\n)+", text, re.MULTILINE)[0] if section else text
    assert re.search(rf"^ *(# )?{key}: \S.* # \S", block, re.MULTILINE)
    assert f"| `{name}` |" in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_lines_that_are_commented_out_are_valid(tmp_path: Path) -> None:
    """Taking the # away from any of them gives a file that still loads."""
    text = re.sub(r"^  # (\w+: )", r"  \1", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "config.yaml").training.precision == "fp16"


def test_only_fp16_uncommented_loads(tmp_path: Path) -> None:
    """The older key may stand beside `precision: auto`, as it does when one takes away nothing but its #."""
    text = SHIPPED.read_text(encoding="utf-8").replace("  # fp16: true", "  fp16: true")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "config.yaml").training.precision == "fp16"


def test_command_line_wins_over_the_older_key() -> None:
    """A precision on the command line needs no change in a file that has fp16, and the other way round."""
    early = load_config(ROOT / "configs" / "early.yaml", [("training.precision", "bf16")])
    assert early.training.precision == "bf16"
    assert load_config(SHIPPED, [("training.fp16", "true")]).training.precision == "fp16"


def test_the_settings_stay_few() -> None:
    """Whoever adds a setting beyond the sixtieth has to think about which one may go."""
    assert len(setting_names()) <= 60


def test_documents_are_up_to_date(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """What is written from the code is what lies in the folder."""
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_stale_documents_are_noticed(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document that differs or is missing fails the check, and writing mends it."""
    # Of this one only the tables are written.
    shutil.copy(ROOT / "docs" / "serving.md", tmp_path)
    monkeypatch.setattr(generate, "HERE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "configuration.md").write_text("old", encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert "docs/configuration.md is out of date" in capsys.readouterr().err


def test_the_shipped_configuration_means_what_it_did() -> None:
    """The resolved values of config.yaml change on purpose only; UPDATE_GOLDEN=1 writes them anew."""
    found = "".join(f"{name}: {plain(value)}\n" for name, value in flatten(load_config(SHIPPED)).items())
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_an_early_configuration_still_means_the_same() -> None:
    """Every older key is taken, and fp16 has become a precision."""
    config = load_config(ROOT / "configs" / "early.yaml")
    assert config.training.precision == "fp16"
    assert config.training.fp16 is None
    assert config.training.warmup_steps == 500
    assert config.mlflow.tracking_uri == "./mlruns"
    assert config.logging.save_interval == 1000
