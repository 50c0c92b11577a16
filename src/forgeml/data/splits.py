"""From the rows that came in to train, validation and test: slices, shares, one task and one label map."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from forgeml.config.schema import DataConfig
from forgeml.data.duplicates import check_leaks, find_duplicates, unseen
from forgeml.data.hashes import EMPTY, Hashes, fingerprint_labels, fingerprint_texts, hash_texts
from forgeml.data.rows import Rows, read_rows, refuse_one_label, refuse_overlap, refuse_unlabelled
from forgeml.data.shares import DEFAULT_SHARE, select, set_aside
from forgeml.data.understanding import Understanding, fit_classes, names_of, understand, without_labels
from forgeml.errors import DataError, counted
from forgeml.records import Source, Split, Splits

MOST_EMPTY = 0.5
"""Share of a part's texts; with more of them empty the column is hardly the text."""

LOOKS = ("read", "compare")
"""The two looks at all texts, in words for who waits: for the fingerprint, and for what stands twice."""

Report = Callable[[str, int, int], None]
"""Is told the work, how much of it is done, and how much there is."""


def make_splits(
    source: Source, config: DataConfig, seed: int, report: Report = lambda work, done, total: None
) -> Splits:
    """Choose the columns, cut the splits, map the labels, and look for texts that stand twice.

    Raises:
        DataError: a split or column that is not there, labels that cannot be used, too few rows, rows in two splits.
    """
    known = understand(source, config, "data.train_split", config.train_split)
    wanted = {
        "validation": config.validation_split or ("validation" if "validation" in source.tables else DEFAULT_SHARE),
        "test": config.test_split or ("test" if "test" in source.tables else None),
    }
    notes: list[str] = []
    if config.test_split is None and wanted["test"] and known.columns.label not in source.tables["test"].column_names:
        # Tests of competitions come so.
        notes.append(f"no test figures: test has no column {known.columns.label!r}")
        wanted["test"] = None
    chosen = _choose(source, config, known, wanted)
    class_names, rare = fit_classes(source, known, chosen["train"], config.min_count)
    parts = {name: _labelled(rows, known, class_names, name, rare) for name, rows in chosen.items()}
    if config.test_split is None and "test" in parts and not len(parts["test"]):
        # Hub test sets often come without labels; they cannot be scored, which is no reason not to train.
        but = " that is not rare" if "of rare classes" in parts["test"].left_out else ""
        notes.append(f"no test figures: none of the {len(chosen['test']):,} rows of test has a label{but}")
        del parts["test"]
    _refuse_empty(parts)
    shares = {name: share for name, share in wanted.items() if isinstance(share, float)}
    if shares:
        _refuse_single_examples(parts["train"], known, class_names)
        parts |= set_aside(parts["train"], shares, seed, known.task)
    parts = {name: parts[name] for name in ("train", "validation", "test") if name in parts}
    return replace(_finish(parts, config, known, class_names, report), notes=tuple(notes), rare=tuple(sorted(rare)))


def labelled_split(
    source: Source, wanted: str | None, config: DataConfig, class_names: Sequence[str], rare: Collection[str] = ()
) -> Split:
    """One split under a label map that exists already, to score a trained classifier on.

    Args:
        source: rows as they came in.
        wanted: split or slice; None for `test` if there is one, else the only split.
        config: names the task, and the columns where they are not obvious.
        class_names: the classifier's own.
        rare: labels that the classifier was not trained on, as they were too rare; their rows are left out.

    Raises:
        DataError: a split or column that is not there, or labels that the classifier does not know.
    """
    if wanted is None and "test" not in source.tables and len(source.tables) > 1:
        listed = ", ".join(source.tables)
        raise DataError.at("--split", f"{source.name} has no split test; it has {listed}", "choose one with --split")
    name = wanted or ("test" if "test" in source.tables else next(iter(source.tables)))
    known = understand(source, config, "--split", name)
    rows = read_rows(source, known.columns, known.kind, "--split", name)
    if config.on_bad_rows == "refuse":
        refuse_unlabelled(source, rows)
    part = _labelled(rows, known, class_names, name, set(rare))
    _refuse_empty({name: part}, "--split")
    return part


def _choose(
    source: Source, config: DataConfig, known: Understanding, wanted: Mapping[str, str | float | None]
) -> dict[str, Rows]:
    """The rows of each part that is a split or slice of the source, train first."""

    def read(setting: str, slice_: str) -> Rows:
        return read_rows(source, known.columns, known.kind, setting, slice_)

    chosen = {"train": read("data.train_split", config.train_split)}
    for name, what in wanted.items():
        if isinstance(what, str):
            chosen[name] = read(f"data.{name}_split", what)
    refuse_overlap(chosen)
    if config.on_bad_rows == "refuse":
        for rows in chosen.values():
            refuse_unlabelled(source, rows)
    refuse_one_label(chosen["train"], lambda: read("data.train_split", chosen["train"].split))
    return chosen


def _labelled(rows: Rows, known: Understanding, class_names: Sequence[str], name: str, rare: set[str]) -> Split:
    """The rows that have a label, under the label map."""
    with_label = rows.kept(rows.labelled)
    usable = without_labels(with_label, rare)
    left_out = {"without a label": len(rows) - len(with_label), "of rare classes": len(with_label) - len(usable)}
    labels = known.kind.encode(usable.values, class_names, rows.place)
    return Split(name, usable.texts, labels, {why: count for why, count in left_out.items() if count})


def _refuse_empty(parts: Mapping[str, Split], setting: str | None = None) -> None:
    for name, part in parts.items():
        if not len(part):
            listed = " and ".join(f"{counted(count, 'row')} {why}" for why, count in part.left_out.items())
            fix = "choose a split or slice that has labels"
            raise DataError.at(setting or f"data.{name}_split", f"no row is left: {listed}", fix)


def _refuse_single_examples(train: Split, known: Understanding, class_names: Sequence[str]) -> None:
    if known.task != "single_label":
        return
    single = np.flatnonzero(np.bincount(train.labels, minlength=len(class_names)) == 1)
    if len(single):
        what = f"{counted(len(single), 'class')} with one example, which cannot be both learnt from and scored on: "
        fix = "add examples, set data.min_count: 2 to leave these classes out, or give a validation split of your own"
        raise DataError.at("data.validation_split", what + names_of(single.tolist(), class_names), fix)


def _finish(
    parts: dict[str, Split],
    config: DataConfig,
    known: Understanding,
    class_names: tuple[str, ...],
    report: Report,
) -> Splits:
    """Look at the texts themselves: which are empty, which stand twice, and the fingerprint of all."""
    look, compare = ({name: _listener(report, what, part) for name, part in parts.items()} for what in LOOKS)
    prints = {name: fingerprint_texts(part.texts, look[name]) for name, part in parts.items()}
    hashes = {name: hash_texts(part.texts, prints[name], compare[name]) for name, part in parts.items()}
    _refuse_empty_texts(parts, hashes)
    if config.drop_duplicates:
        parts["train"], hashes["train"] = _without_leaks(parts["train"], known, class_names, hashes)
        prints["train"] = fingerprint_texts(parts["train"].texts)
    duplicates = find_duplicates(list(parts.values()), hashes)
    check_leaks(duplicates)
    test = parts.get("test")
    new = unseen(test, hashes) if test else None
    return Splits(
        train=parts["train"],
        validation=parts["validation"],
        test=test,
        task=known.task,
        class_names=class_names,
        columns=known.as_settings(),
        fingerprints=prints,
        fingerprint=_fingerprint(known, class_names, list(parts.values()), prints),
        duplicates=duplicates,
        unseen=None if new is None or new.all() else new,
    )


def _listener(report: Report, what: str, part: Split) -> Callable[[int], None]:
    return lambda done: report(f"{what} {part.name}", done, len(part))


def _refuse_empty_texts(parts: Mapping[str, Split], hashes: Mapping[str, Hashes]) -> None:
    for name, part in parts.items():
        empty = int(np.count_nonzero(hashes[name] == EMPTY))
        if empty > MOST_EMPTY * len(part):
            what = f"{empty:,} of {len(part):,} texts of {name} are empty"
            raise DataError.at("data.text_column", what, "choose the column that holds the text")


def _without_leaks(
    train: Split, known: Understanding, class_names: Sequence[str], hashes: Mapping[str, Hashes]
) -> tuple[Split, Hashes]:
    """Train without the texts that also stand in another part."""
    others = np.concatenate([found for name, found in hashes.items() if name != "train"])
    keep = ~np.isin(hashes["train"], others) | (hashes["train"] == EMPTY)
    left = select(train, keep)
    gone = _classes_of(train, known) - _classes_of(left, known)
    if not len(left) or gone:
        names = f"all of {names_of(sorted(gone), class_names)}" if gone else f"all {len(train):,} texts of train"
        raise DataError.at("data.drop_duplicates", f"{names} also in validation or test", "give train other rows")
    dropped = {**train.left_out, "also in validation or test": int(np.count_nonzero(~keep))}
    return replace(left, left_out={why: count for why, count in dropped.items() if count}), hashes["train"][keep]


def _classes_of(part: Split, known: Understanding) -> set[int]:
    """The classes that have an example; none where labels are numbers."""
    if known.task == "regression":
        return set()
    found = np.flatnonzero(part.labels.any(axis=0)) if part.labels.ndim == 2 else np.unique(part.labels)
    return set(found.tolist())


def _fingerprint(
    known: Understanding, class_names: Sequence[str], parts: Sequence[Split], prints: Mapping[str, str]
) -> str:
    """SHA-256 over task, class names, texts and labels."""
    digest = hashlib.sha256(repr((known.task, tuple(class_names))).encode())
    for part in parts:
        digest.update(f"{part.name} {len(part)} {prints[part.name]} {fingerprint_labels(part)}\n".encode())
    return digest.hexdigest()
