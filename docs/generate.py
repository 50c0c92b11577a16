"""Write the documents that follow from the code, or check that they still do.

`python docs/generate.py` writes them, `python docs/generate.py --check` exits with 1 when one of them differs.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from typer.testing import CliRunner

from forgeml.cli.main import app
from forgeml.config.loading import json_schema
from forgeml.config.schema import Config
from forgeml.config.settings import Setting, all_settings, plain
from forgeml.serving.app import App, Settings
from forgeml.serving.limits import Limits
from forgeml.serving.telling.metrics import Metrics

HERE = Path(__file__).resolve().parent

CONFIGURATION = """\
# Configuration

<!-- Written by docs/generate.py from the schema; change src/forgeml/config/schema.py instead. -->

One file says all about a training run. These four lines are enough; every other setting has a default:

```yaml
model:
  name: distilbert-base-uncased
data:
  dataset: imdb
```

The `config.yaml` in the repository shows every setting with a comment, and `configs/` holds worked examples.
Editors that understand `docs/config.schema.json` complete and check the file while you write.

## Settings
{tables}
## On the command line

Every setting is an option under the same name, before or after the file, and the command line wins over the file:

```
python train.py config.yaml --training.num_epochs 1 --training.learning_rate=3e-5
```

The value is read as in the file, so `null` takes a setting back to "left out". Where a setting is a text, a number is
taken as text: `--mlflow.run_name 2024` needs no quotes. A setting given twice is refused. Values from the file and
from the command line are put together first and then checked once, by the same rules.

What is allowed but hardly ever meant, such as a learning rate above 0.01 or more than 100 epochs, is told as a warning
when the run begins.

## How the file is read

The file is YAML 1.2 in UTF-8, up to 1 MB.

- `2e-5` and `1e-5` are numbers. So is `010`, which is ten.
- `yes`, `no`, `on`, `off`, `1:30`, `2024-01-01` and `1_000` are words. Only `true` and `false` are booleans, and
  booleans are never numbers.
- Quotes make a text: `"0.1"` is not a number.
- A section without settings is left out. A key without a value is `null`; settings whose default is a value refuse
  that, so leave out the whole line.
- Refused: a key that is there twice, anchors, aliases, tags, a second document, tabs for indentation, keys that are
  no words, and more than 20 levels.
- Environment variables are not replaced. The shell can do that on the command line.
- `fp16: true` is the older spelling of `precision: fp16`. Both together are fine as long as they agree, as
  `precision: auto` does with all. Either of them on the command line wins over both in the file.
- A text may hold no line break, tab or other control character. `"C:\\new"` has one, since a backslash in double quotes
  starts an escape; in single quotes it does not.
- `output_dir` may not be `/` or the home folder itself.
- Passwords and tokens do not belong in the file, since it is copied into the saved model. A hub token is refused; set
  the environment variable `HF_TOKEN` instead. So is a password in a tracking address; set `MLFLOW_TRACKING_USERNAME`
  and `MLFLOW_TRACKING_PASSWORD`.

## When something is wrong

All problems are shown together, each with its line, the setting, what is wrong and what to do. The exit code is 2, and
nothing was downloaded or written by then.

```
config.yaml:9 training.learnng_rate: unknown setting
  fix: did you mean training.learning_rate?
--training.num_epochs: must be 1 or more, found the number 0
  fix: give a whole number of at least 1, or leave it out for the default, 3
```
"""

TABLE = """
{heading}

{about}

| Setting | Kind | Default | Meaning |
|---|---|---|---|
{rows}
"""


COMMANDS = """\
# Commands

<!-- Written by docs/generate.py from the command line's own help; change src/forgeml/cli/ instead. -->

`python train.py` in the repository is the same as `forgeml train`. Results go to stdout, everything for people to
stderr, so that `forgeml predict best_model "A text." --json | jq .label` works.

{parts}
## Errors and exit codes

What you can mend is told in lines like these on stderr, never as a traceback, and nothing on disk has changed:

```
reviews.csv: no column 'label'; found review, sentiment
  fix: set data.label_column to one of them
```

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | a bug of ForgeML; the message names a file with the details |
| 2 | the configuration or the command line |
| 3 | the data |
| 4 | the model or its tokenizer |
| 5 | the machine: disk, rights, device, memory |
| 6 | the hub or the network |
| 7 | the training failed, for instance by a loss that is not finite |
| 129, 130, 143 | stopped by a lost terminal, by Ctrl-C or by SIGTERM; the same command goes on from there |
"""

COMMAND = """\
## `{title}`

```
{text}
```

"""


def commands() -> str:
    """The help of every command."""
    names = [command.name or "" for command in app.registered_commands]
    asked = [[], *([name] for name in names)]
    return COMMANDS.format(parts="".join(_help(arguments) for arguments in asked))


def _help(arguments: list[str]) -> str:
    run = CliRunner().invoke(app, [*arguments, "--help"], prog_name="forgeml", env={"COLUMNS": "100"})
    text = "\n".join(line.rstrip() for line in run.output.strip().splitlines())
    return COMMAND.format(title=" ".join(["forgeml", *arguments]), text=text)


def configuration() -> str:
    """The reference of all settings."""
    sections = dict.fromkeys(setting.section for setting in all_settings())
    return CONFIGURATION.format(tables="".join(_table(section) for section in sections))


def schema() -> str:
    """The JSON schema of config.yaml."""
    return json.dumps(json_schema(), indent=2) + "\n"


def serving() -> str:
    """The page on the server, which people write, with its tables."""
    text = (HERE / "serving.md").read_text(encoding="utf-8")
    routes = [(f"`{one.method} {one.path}`", one.summary) for one in App(Settings("best_model")).routes]
    limits = [(f"`{one.name}`", f"{one.default:,}", one.metadata["help"]) for one in fields(Limits)]
    counts = [(f"`{one.name}`", one.type, one.documentation) for one in Metrics().collect()]
    for name, head, rows in (
        ("routes", ("Route", "What it does"), routes),
        ("limits", ("Limit", "Default", "What it bounds"), limits),
        ("metrics", ("Name", "Kind", "What it counts"), counts),
    ):
        pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(?=<!-- end -->)", re.DOTALL)
        before, opening, after = pattern.split(text, maxsplit=1)
        text = before + opening + _rows(head, rows) + after
    return text


DOCUMENTS: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "config.schema.json": schema,
    "commands.md": commands,
    "serving.md": serving,
}


def main(arguments: Sequence[str]) -> int:
    """Write the documents, or with `--check` name those that differ; the result is the exit code."""
    wanted = {HERE / name: build() for name, build in DOCUMENTS.items()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"docs/{path.name} is out of date\n  fix: python docs/generate.py\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
        sys.stderr.write(f"wrote docs/{path.name}\n")
    return 0


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:], ""])


def _table(section: str) -> str:
    rows = [_row(setting) for setting in all_settings() if setting.section == section]
    annotation = Config.model_fields[section].annotation if section else None
    about = (annotation.__doc__ or "") if annotation else "These stand alone, without a section."
    heading = f"### `{section}`" if section else "### Outside the sections"
    return TABLE.format(heading=heading, about=about, rows="\n".join(rows))


def _row(setting: Setting) -> str:
    default = "required" if setting.required else "" if setting.default is None else f"`{plain(setting.default)}`"
    kind = setting.wanted.removeprefix("a ")
    return f"| `{setting.name}` | {kind} | {default} | {setting.help} |".replace("  |", " |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
