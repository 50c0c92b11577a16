"""fastText with pairs of words.

python -m training.peer_fasttext JOB
"""

from __future__ import annotations

from pathlib import Path

import fasttext

from training.job import Job, read_job, read_rows, write_result
from training.stopwatch import Stopwatch

MARK = "__label__"


def main(job: Job) -> None:
    """Train on whole texts, and score. Settings were chosen on other rows of both sets of texts."""
    names = sorted(set(read_rows(job.train)[1]))
    texts, labels = read_rows(job.train)
    # A label with a space in it would be two words.
    lines = [f"{MARK}{names.index(label)} {plain(text)}" for text, label in zip(texts, labels, strict=True)]
    file = Path(job.folder, "train.txt")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    watch = Stopwatch(job)
    watch.start()
    model = fasttext.train_supervised(
        str(file), lr=0.5, epoch=25, wordNgrams=2, thread=job.threads, seed=job.seed, verbose=0
    )
    watch.stop(len(texts))
    others, wanted = read_rows(job.validation)
    said = [names[int(found[0].removeprefix(MARK))] for found in model.predict(list(map(plain, others)))[0]]
    right = sum(one == label for one, label in zip(said, wanted, strict=True))
    write_result(job, {**watch.figures(), "precision": "fp32", "accuracy": right / len(wanted)})


def plain(text: str) -> str:
    """One line in small letters; the library cuts words at spaces alone."""
    return " ".join(text.lower().split())


if __name__ == "__main__":
    main(read_job())
