"""The names that columns of texts and labels usually have."""

from __future__ import annotations

from collections.abc import Sequence

# Usual names in tiers: a name counts only where none of an earlier tier is there, and only if it is alone in its tier.
TEXT_NAMES: Sequence[Sequence[str]] = (
    ("text",),
    (
        *("content", "sentence", "review", "tweet", "body", "message", "comment", "utterance", "query", "question"),
        *("document", "post", "article", "sms", "snippet", "phrase", "review_text", "review_body", "tweet_text"),
        *("comment_text", "sentence1", "question1", "premise", "text1", "reviewtext", "texts", "input"),
    ),
    ("title", "headline", "subject", "description", "abstract"),
)
LABEL_NAMES: Sequence[Sequence[str]] = (
    ("label",),
    ("labels",),
    (
        *("sentiment", "category", "intent", "class", "target", "emotion", "topic", "polarity", "output"),
        *("categories", "intents", "classes", "emotions", "topics", "tags", "tag", "genre", "genres", "gold_label"),
    ),
    ("score", "rating", "stars", "similarity", "similarity_score", "relatedness_score", "value", "y"),
)
PAIR_NAMES = (
    *(("text", "text_pair"), ("text1", "text2"), ("sentence1", "sentence2"), ("sentence_a", "sentence_b")),
    *(("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence")),
)
"""First and second text of pairs. A table that has both holds pairs."""


def usual_names(columns: Sequence[str], tiers: Sequence[Sequence[str]]) -> list[str]:
    """The columns of the first tier that any of them is in, letter case and outer spaces aside."""
    for tier in tiers:
        found = [name for name in columns if _plain(name) in tier]
        if found:
            return found
    return []


def usual_pair(names: Sequence[str], second: str | None) -> tuple[str | None, str | None]:
    """First and second column of pairs, if the names are usual ones; `second` if that is settled already."""
    plain = {_plain(name): name for name in names}
    for one, other in PAIR_NAMES:
        if one in plain and (plain.get(other) == second if second else other in plain):
            return plain[one], plain.get(other)
    return None, None


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
