"""Memory, tokenizing speed and time to the first step on a million long reviews.

    python benchmarks/million_rows.py --data imdb --model quickstart/starter/model --work runs/million

The reviews of `imdb/train.csv.gz` are repeated with a row number in front, so that no two are equal. Each measurement
is a process of its own; the memory of the model alone is that of the same run on a thousand rows. The tokenizers
library is measured in turn with ForgeML on the same texts.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CONFIG = """\
model:
  name: {model}
data:
  dataset: {file}
  text_column: text
  label_column: label
  validation_split: 0.01
training:
  batch_size: 16
"""
SPEED_TEXTS, SPEED_ROUNDS = 4_000, 5


def main() -> None:
    """Make the data, and measure; or be one of the measuring processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of imdb")
    parser.add_argument("--model", help="model to start from")
    parser.add_argument("--work", type=Path, help="folder for the made data, of about 1.4 GB")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--first-step", metavar="CONFIG", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_step:
        print(json.dumps(_first_step(options.first_step)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    small, large = (_made(options.data, options.work, rows) for rows in (1_000, options.rows))
    runs = {"thousand_rows": small, "first_start": large, "second_start": large}
    found = {name: _measure(options, file) for name, file in runs.items()}
    for name, figures in found.items():
        print(json.dumps({"run": name, **figures}))
    above = (found["first_start"]["peak_mb"] - found["thousand_rows"]["peak_mb"]) / 1000
    print(json.dumps({"peak_above_the_model_gb": round(above, 2)}))
    print(json.dumps(_tokenizing(large, options.model)))


def _made(data: Path, work: Path, rows: int) -> Path:
    file = work / f"reviews-{rows}.csv"
    if file.exists():
        return file
    with gzip.open(data / "train.csv.gz", "rt", encoding="utf-8", newline="") as source:
        reviews = [(row["text"], row["label"]) for row in csv.DictReader(source)]
    with file.with_suffix(".part").open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["text", "label"])
        for row in range(rows):
            text, label = reviews[row % len(reviews)]
            writer.writerow([f"{row} {text}", label])
    file.with_suffix(".part").rename(file)
    return file


def _measure(options: argparse.Namespace, file: Path) -> dict[str, float]:
    config = file.with_suffix(".yaml")
    config.write_text(CONFIG.format(model=Path(options.model).resolve(), file=file.resolve()), encoding="utf-8")
    command = [sys.executable, __file__, "--first-step", str(config)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _first_step(config_file: str) -> dict[str, float]:
    """Gather all materials and take one step; seconds are counted from the end of the imports."""
    from forgeml.config.loading import load_config
    from forgeml.training.loop import train_steps
    from forgeml.training.materials import gather
    from forgeml.training.preparing import prepare

    config = load_config(config_file)
    started = time.monotonic()
    materials = gather(config, lambda event: None)
    gathered = time.monotonic() - started
    next(train_steps(*prepare(config.training, materials), config.training))
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"gathered_s": round(gathered, 1), "first_step_s": round(seconds, 1), "peak_mb": round(peak)}


def _tokenizing(large: Path, model: str) -> dict[str, float]:
    """Texts a second of the bare tokenizers library and of ForgeML, in turn on the same texts."""
    from tokenizers import Tokenizer

    from forgeml.data.tokens.encoding import encode
    from forgeml.model.pretrained import fetch_pretrained, open_tokenizer
    from forgeml.records import Cut, ListedTexts

    with large.open(encoding="utf-8", newline="") as source:
        rows = csv.DictReader(source)
        texts = [row["text"] for row, _ in zip(rows, range(SPEED_TEXTS), strict=False)]
    pretrained = fetch_pretrained(model, None)
    tokenizer = open_tokenizer(pretrained)
    bare = Tokenizer.from_file(str(Path(pretrained.folder) / "tokenizer.json"))
    bare.no_padding()
    bare.enable_truncation(256)
    taken = ListedTexts(texts)
    library, own = [], []
    for _ in range(SPEED_ROUNDS):
        started = time.perf_counter()
        bare.encode_batch(texts)
        between = time.perf_counter()
        encode(tokenizer, taken, Cut(256))
        library.append(between - started)
        own.append(time.perf_counter() - between)
    ratio = statistics.median(one / other for one, other in zip(library, own, strict=True))
    speeds = {"tokenizers": library, "forgeml": own}
    told = {f"{name}_texts_per_s": round(len(texts) / statistics.median(times)) for name, times in speeds.items()}
    return {**told, "forgeml_to_tokenizers": round(ratio, 3)}


if __name__ == "__main__":
    main()
