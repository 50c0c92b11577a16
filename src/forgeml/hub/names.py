"""Well-known names of models and data sets, and where they lie on the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownDataset:
    """Where a well-known data set lies, and where its text and label stand."""

    repository: str
    subset: str | None = None
    text_column: str | None = None
    """None: seen from the names of the columns, as for any other data set."""
    label_column: str | None = None


# The hub redirects these names, but the caches are keyed by the name asked for, and data sets need owner/name.
MODELS = {
    "albert-base-v2": "albert/albert-base-v2",
    "albert-large-v2": "albert/albert-large-v2",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-uncased": "google-bert/bert-large-uncased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "distilbert-base-multilingual-cased": "distilbert/distilbert-base-multilingual-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "distilroberta-base": "distilbert/distilroberta-base",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
}

DATASETS = {
    "ag_news": KnownDataset("fancyzhx/ag_news"),
    "amazon_polarity": KnownDataset("fancyzhx/amazon_polarity", text_column="content"),
    "dbpedia_14": KnownDataset("fancyzhx/dbpedia_14", text_column="content"),
    "emotion": KnownDataset("dair-ai/emotion", subset="split"),
    "imdb": KnownDataset("stanfordnlp/imdb"),
    "rotten_tomatoes": KnownDataset("cornell-movie-review-data/rotten_tomatoes"),
    "sms_spam": KnownDataset("ucirvine/sms_spam", text_column="sms"),
    "sst2": KnownDataset("stanfordnlp/sst2", text_column="sentence"),
    "tweet_eval": KnownDataset("cardiffnlp/tweet_eval", subset="sentiment"),
    "yelp_polarity": KnownDataset("fancyzhx/yelp_polarity"),
    "yelp_review_full": KnownDataset("Yelp/yelp_review_full"),
}


def written_as_path(name: str) -> bool:
    """Whether a name can only be that of a file or folder: the hub's are `name` or `owner/name`."""
    if "://" in name:
        return False
    starts = name in ("", ".", "..") or name.startswith(("./", "../", "/", "~"))
    return starts or name.endswith("/") or name.count("/") > 1


def model_repository(name: str) -> str:
    """The owner/name of a model that is known by a short name."""
    return MODELS.get(name, name)


def known_dataset(name: str) -> KnownDataset:
    """What is known of a data set, by its short or its full name."""
    by_repository = {known.repository: known for known in DATASETS.values()}
    return DATASETS.get(name) or by_repository.get(name) or KnownDataset(name)


def name_in_address(text: str) -> str | None:
    """The owner/name in the address of a page on the hub; None when the text is no such address."""
    found = re.search(r"://[^/]+/(?:datasets/)?([\w.-]+/[\w.-]+)", text)
    return found[1] if found else None
