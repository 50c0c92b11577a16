"""TF-IDF of words, pairs of words and parts of words, and a logistic regression.

python -m training.peer_tfidf JOB
"""

from __future__ import annotations

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from training.job import Job, read_job, read_rows, write_result
from training.stopwatch import Stopwatch


def main(job: Job) -> None:
    """Train on whole texts, and score. Settings were chosen on other rows of both sets of texts."""
    train, validation = read_rows(job.train), read_rows(job.validation)
    watch = Stopwatch(job)
    watch.start()
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    model = make_pipeline(make_union(words, parts), LogisticRegression(C=10, max_iter=1000))
    model.fit(*train)
    watch.stop(len(train[0]))
    write_result(job, {**watch.figures(), "precision": "fp64", "accuracy": float(model.score(*validation))})


if __name__ == "__main__":
    main(read_job())
