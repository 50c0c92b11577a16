"""Tiny models and data sets for tests, made on the spot: no network, a second at most."""

from __future__ import annotations

import json
import random
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
import yaml
from tokenizers import normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizer

from forgeml.records import ColumnTexts

Format = Literal["csv", "jsonl", "parquet"]

POSITIVE = (
    "good great lovely wonderful superb charming brilliant delightful moving funny fresh clever warm honest gripping "
    "graceful vivid tender thrilling joyful rich bright splendid touching witty"
)
NEGATIVE = (
    "bad awful boring terrible dull weak clumsy dreadful stale noisy lazy cold shallow tedious messy painful empty "
    "hollow lifeless bland silly gloomy sloppy pointless ugly"
)
NEUTRAL = (
    "the a this that film movie story actor scene plot director camera music ending script cast picture screen hour "
    "minute it is was were has had in on with from for about and but then while when we they saw watched found thought "
    "felt seemed looked sounded moved opened closed began ended evening weekend cinema sofa friend family people town "
    "river house road city garden window table letter train winter summer morning"
)
IRONIC = "sure totally obviously oh fantastic congratulations thanks surely wow precisely"
PLAIN = "today yesterday tomorrow rain sun walk lunch coffee meeting bus"


MOST_PIECES = 900
"""Size that the vocabulary of a tiny tokenizer does not exceed."""


@dataclass(frozen=True)
class ClassLabel:
    """A label column as the hub describes it: the names behind its integers."""

    column: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Subset:
    """One configuration of a data set on the hub."""

    name: str
    label: ClassLabel
    splits: Mapping[str, pa.Table]
    default: bool = False


def write_tiny_bert(folder: Path, seed: int = 0, texts: Iterable[str] | None = None) -> Path:
    """Write a BERT encoder of random weights, without a head, and a WordPiece tokenizer for the words of `texts`.

    Without `texts` the vocabulary is that of the made-up data sets of this module.
    """
    tokenizer = _counted_tokenizer([POSITIVE, NEGATIVE, NEUTRAL, IRONIC, PLAIN] if texts is None else texts)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
    )
    # Seeded inside a fork, so that building a model leaves the caller's random numbers alone.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_reviews(folder: Path, rows: int = 240, test_rows: int = 80, seed: int = 0, format: Format = "csv") -> Path:
    """Write train and test files of made-up reviews with the columns text and label, the labels as neg and pos.

    The classes are even, no text occurs twice, and the words of a text give its label away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reviews = _reviews(rows + test_rows, seed)
    for split, part in {"train": reviews[:rows], "test": reviews[rows:]}.items():
        columns = {"text": [text for text, _ in part], "label": [("neg", "pos")[label] for _, label in part]}
        _write_table(pa.table(columns), folder / f"{split}.{format}", format)
    return folder


def write_imdb_like_dataset(folder: Path, rows: int = 120, test_rows: int = 60, seed: int = 0) -> Path:
    """Write a repository as stanfordnlp/imdb is: one default subset, and a split whose rows are labelled -1."""
    reviews = _reviews(rows + 2 * test_rows, seed)
    # As in the original: every split is sorted by class, and the unsupervised one has no labels.
    train, test = sorted(reviews[:rows], key=_label_of), sorted(reviews[rows : rows + test_rows], key=_label_of)
    unsupervised = [(text, -1) for text, _ in reviews[rows + test_rows :]]
    splits = {"train": train, "test": test, "unsupervised": unsupervised}
    tables = {name: _text_table(part) for name, part in splits.items()}
    subset = Subset("plain_text", ClassLabel("label", ("neg", "pos")), tables, default=True)
    return _write_hub_dataset(folder, [subset])


def write_tweet_eval_like_dataset(folder: Path, rows: int = 90, test_rows: int = 30, seed: int = 0) -> Path:
    """Write a repository as tweet_eval is: several subsets and no default one."""
    sizes = {"train": rows, "validation": test_rows, "test": test_rows}
    sentiment = _marked(sum(sizes.values()), (NEGATIVE, PLAIN, POSITIVE), seed)
    irony = _marked(sum(sizes.values()), (PLAIN, IRONIC), seed + 1)
    return _write_hub_dataset(
        folder,
        [
            Subset("irony", ClassLabel("label", ("non_irony", "irony")), _cut(irony, sizes)),
            Subset("sentiment", ClassLabel("label", ("negative", "neutral", "positive")), _cut(sentiment, sizes)),
        ],
    )


def write_amazon_like_dataset(folder: Path, rows: int = 120, test_rows: int = 60, seed: int = 0) -> Path:
    """Write a repository as amazon_polarity is: the text is in the columns title and content."""
    reviews = _reviews(rows + test_rows, seed)
    tables = {
        split: pa.table(
            {
                "label": pa.array([label for _, label in part], pa.int64()),
                "title": [" ".join(text.split()[:3]) for text, _ in part],
                "content": [text for text, _ in part],
            }
        )
        for split, part in {"train": reviews[:rows], "test": reviews[rows:]}.items()
    }
    subset = Subset("amazon_polarity", ClassLabel("label", ("negative", "positive")), tables, default=True)
    return _write_hub_dataset(folder, [subset])


def write_script_dataset(folder: Path, name: str) -> Path:
    """Write a repository as old data sets are: a Python script that would load the data."""
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text("raise SystemExit('never to be run')\n", encoding="utf-8")
    return folder


def write_broken_dataset(folder: Path) -> Path:
    """Write a repository whose only file is not what its ending says."""
    folder.mkdir(parents=True)
    (folder / "train.parquet").write_bytes(b"no table at all")
    return folder


def write_topics(folder: Path, form: Literal["blank", "bar", "list"], rows: int = 240, seed: int = 0) -> Path:
    """Write train and test files of texts with none, one or two of three labels, whose words give them away.

    The names stand in the column labels, joined by a blank or a bar, or as JSON lists.
    """
    topics = {"bad": NEGATIVE.split(), "good": POSITIVE.split(), "wry": IRONIC.split()}
    chance = random.Random(seed)
    table = []
    while len(table) < rows:
        names = chance.sample(sorted(topics), k=len(table) % 3)
        words = chance.choices(NEUTRAL.split(), k=chance.randint(4, 8))
        for name in names:
            words += chance.choices(topics[name], k=3)
        chance.shuffle(words)
        table.append((" ".join(words), sorted(names)))
    if form == "list":
        lines = [{"text": text, "labels": names} for text, names in table]
    else:
        between = {"blank": " ", "bar": "|"}[form]
        lines = [{"text": text, "labels": between.join(names)} for text, names in table]
    return _write_parts(folder, lines, "jsonl" if form == "list" else "csv")


def write_scores(folder: Path, rows: int = 480, seed: int = 0) -> Path:
    """Write train and test files of texts with the column score, from -3 to 3 by the words of praise and blame."""
    chance = random.Random(seed)
    lines = []
    for _ in range(rows):
        good, bad = chance.randint(0, 3), chance.randint(0, 3)
        words = chance.choices(NEUTRAL.split(), k=chance.randint(4, 8))
        words += chance.choices(POSITIVE.split(), k=good) + chance.choices(NEGATIVE.split(), k=bad)
        chance.shuffle(words)
        lines.append({"text": " ".join(words), "score": good - bad + chance.choice([-0.2, 0.0, 0.2])})
    return _write_parts(folder, lines, "csv")


def write_pairs(folder: Path, scored: bool, rows: int = 240, seed: int = 0) -> Path:
    """Write train and test files of pairs in the columns sentence1 and sentence2.

    The label is same or other, by whether both are of one class; or there is a score from 0 to 5.
    """
    texts = _reviews(2 * rows, seed)
    chance = random.Random(seed)
    lines = []
    for number in range(rows):
        (first, one), (second, other) = texts[2 * number], texts[2 * number + chance.randint(0, 1)]
        if scored:
            lines.append({"sentence1": first, "sentence2": second, "score": 5.0 * (one == other) - chance.random() / 2})
        else:
            lines.append({"sentence1": first, "sentence2": second, "label": "same" if one == other else "other"})
    return _write_parts(folder, lines, "csv")


def write_titled(folder: Path, rows: int = 240, seed: int = 0) -> Path:
    """Write train and test files of reviews whose text is in the columns title and content."""
    reviews = _reviews(rows, seed)
    halves = ((text.split(), ("neg", "pos")[label]) for text, label in reviews)
    lines = [{"title": " ".join(words[:3]), "content": " ".join(words[3:]), "label": label} for words, label in halves]
    return _write_parts(folder, lines, "csv")


def write_long_reviews(folder: Path, rows: int = 160, seed: int = 0) -> Path:
    """Write train and test files of reviews of 150 words, of which the first 60 say nothing of the class."""
    chance = random.Random(seed)
    lines = []
    for number in range(rows):
        words = chance.choices((NEGATIVE, POSITIVE)[number % 2].split(), k=30) + chance.choices(NEUTRAL.split(), k=60)
        chance.shuffle(words)
        text = " ".join(chance.choices(NEUTRAL.split(), k=60) + words)
        lines.append({"text": text, "label": ("neg", "pos")[number % 2]})
    return _write_parts(folder, lines, "csv")


def _write_parts(folder: Path, lines: Sequence[Mapping[str, Any]], format: Format) -> Path:
    """Write the first three quarters as train and the rest as test."""
    folder.mkdir(parents=True, exist_ok=True)
    cut = len(lines) * 3 // 4
    for split, part in {"train": lines[:cut], "test": lines[cut:]}.items():
        _write_table(pa.Table.from_pylist(list(part)), folder / f"{split}.{format}", format)
    return folder


def _reviews(rows: int, seed: int) -> list[tuple[str, int]]:
    """Texts with 0 for negative and 1 for positive."""
    return _marked(rows, (NEGATIVE, POSITIVE), seed)


def _marked(rows: int, words_by_class: Sequence[str], seed: int) -> list[tuple[str, int]]:
    """Distinct texts of neutral words with two to four words of their class, the classes in turn."""
    chance = random.Random(seed)
    texts: dict[str, int] = {}
    while len(texts) < rows:
        label = len(texts) % len(words_by_class)
        words = chance.choices(NEUTRAL.split(), k=chance.randint(4, 14))
        words += chance.choices(words_by_class[label].split(), k=chance.randint(2, 4))
        chance.shuffle(words)
        texts.setdefault(" ".join(words).capitalize() + ".", label)
    return list(texts.items())


def _label_of(row: tuple[str, int]) -> int:
    """Key to sort by class."""
    return row[1]


def _cut(rows: Sequence[tuple[str, int]], sizes: Mapping[str, int]) -> dict[str, pa.Table]:
    """Tables of consecutive rows."""
    tables, start = {}, 0
    for name, size in sizes.items():
        tables[name] = _text_table(rows[start : start + size])
        start += size
    return tables


def _text_table(rows: Sequence[tuple[str, int]]) -> pa.Table:
    """Columns text and label."""
    return pa.table({"text": [text for text, _ in rows], "label": pa.array([label for _, label in rows], pa.int64())})


def _write_table(table: pa.Table, path: Path, format: Format) -> None:
    """Write one file."""
    if format == "csv":
        pa.csv.write_csv(table, path)
    elif format == "parquet":
        pa.parquet.write_table(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), encoding="utf-8")


def _write_hub_dataset(folder: Path, subsets: Sequence[Subset]) -> Path:
    """Write one Parquet file a split, and the card from which the libraries read the features and the subsets."""
    for subset in subsets:
        (folder / subset.name).mkdir(parents=True, exist_ok=True)
        for split, table in subset.splits.items():
            pa.parquet.write_table(table, folder / subset.name / f"{split}-00000-of-00001.parquet")
    infos = [_dataset_info(folder, subset) for subset in subsets]
    card = {
        "pretty_name": "made-up texts",
        # The hub's own cards have a mapping for a single subset and a list for several.
        "dataset_info": infos[0] if len(infos) == 1 else infos,
        "configs": [_config(subset) for subset in subsets],
    }
    header = yaml.safe_dump(card, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{header}---\n\nTexts made up for tests.\n", encoding="utf-8")
    return folder


def _dataset_info(folder: Path, subset: Subset) -> dict[str, Any]:
    """Features and sizes of a subset, as a card states them."""
    names = {str(label): name for label, name in enumerate(subset.label.names)}
    first = next(iter(subset.splits.values()))
    features = [
        {"name": column, "dtype": {"class_label": {"names": names}} if column == subset.label.column else "string"}
        for column in first.column_names
    ]
    sizes = {split: table.nbytes for split, table in subset.splits.items()}
    return {
        "config_name": subset.name,
        "features": features,
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": table.num_rows}
            for split, table in subset.splits.items()
        ],
        "download_size": sum(path.stat().st_size for path in (folder / subset.name).iterdir()),
        "dataset_size": sum(sizes.values()),
    }


def _config(subset: Subset) -> dict[str, Any]:
    """Which files belong to which split."""
    files = [{"split": split, "path": f"{subset.name}/{split}-*"} for split in subset.splits]
    config: dict[str, Any] = {"config_name": subset.name, "data_files": files}
    return {**config, "default": True} if subset.default else config


def _counted_tokenizer(texts: Iterable[str]) -> BertTokenizer:
    """A lower-casing WordPiece tokenizer with BERT's special tokens and fewer than 1,000 pieces.

    The library's own trainer breaks ties at random, which would give every folder another commit. So the vocabulary is
    counted here: single characters, with which every word can be spelt, and the most frequent words.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters = sorted({*string.ascii_lowercase, *string.digits, *string.punctuation, *"".join(words)})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *characters, *(f"##{character}" for character in characters)]
    frequent = sorted(words, key=lambda word: (-words[word], word))
    # A dict keeps the order and drops the words of a single character, which are there already.
    pieces = list(dict.fromkeys(pieces + frequent))[:MOST_PIECES]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=128)


def listed(texts: Sequence[str], pairs: Sequence[str] | None = None) -> ColumnTexts:
    """Texts, and second texts of pairs, as the data has them: in Arrow columns."""
    columns = [pa.chunked_array([pa.array(many, pa.large_string())]) for many in (texts, pairs) if many is not None]
    return ColumnTexts((columns[0],), None if pairs is None else columns[1], np.arange(len(texts)))
