"""Slices of splits."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import ReadInstruction

from forgeml.data.slices import FEWEST_ROWS, around_change, resolve
from forgeml.errors import DataError

SLICES = ["[:50]", "[50:]", "[-100:]", "[:-5]", "[-20:-10]", "[:]", "[1_0:2_0]", "[:10%]", "[10%:20%]", "[-15%:]"]
SLICES += ["[:-33%]", "[33%:67%]", "[-100%:100%]", "[0:1000000]", ""]


@pytest.mark.parametrize("rows", [7, 25, 50, 101, 150, 999])
@pytest.mark.parametrize("bounds", SLICES)
def test_slice_means_what_the_library_means(bounds: str, rows: int) -> None:
    """A slice is the rows that the `datasets` library takes, its rounding of percentages included, or it is empty."""
    [expected] = ReadInstruction.from_spec(f"train{bounds}").to_absolute({"train": rows})
    if expected.from_ < expected.to:
        assert resolve(f"train{bounds}", {"train": rows}, "here", "data") == ("train", expected.from_, expected.to)
    else:
        with pytest.raises(DataError, match="holds no rows"):
            resolve(f"train{bounds}", {"train": rows}, "here", "data")


REFUSED = {
    "train[5]": "no split or slice",
    "train[a:b]": "no split or slice",
    "train[:1.5%]": "no split or slice",
    "train[::2]": "no split or slice",
    "train[:" + "9" * 5000 + "]": "no split or slice",
    "train[:150%]": "beyond 100%",
    "train[10:20%]": "counts rows at one end and percent at the other",
    "train[60:50]": "holds no rows",
    "train[500:]": "holds no rows",
    "trian[:50]": "did you mean train?",
    "unsupervised": "choose one of train, test",
    "train+test": "has no split",
}


@pytest.mark.parametrize("wanted", REFUSED, ids=lambda wanted: wanted[:20])
def test_other_slices_are_refused(wanted: str) -> None:
    """What is no slice, of no split, or without rows is refused with the setting's name."""
    with pytest.raises(DataError) as raised:
        resolve(wanted, {"train": 100, "test": 10}, "data.train_split", "reviews")
    assert REFUSED[wanted] in str(raised.value)
    assert raised.value.problems[0].where == "data.train_split"


@pytest.mark.parametrize("rows", [1, 40, 300, 5000])
@pytest.mark.parametrize(
    "labels",
    [
        ["a"] * 400 + ["b"] * 400,
        ["a"] + ["b"] * 600,
        ["a"] * 600 + ["b"],
        ["a", "b"],
        ["a"] * 200 + [None] * 200 + ["b"] * 200 + ["c"] * 200,
    ],
    ids=["halves", "first", "last", "two", "gap"],
)
def test_suggested_slice_holds_two_labels(labels: list[str | None], rows: int) -> None:
    """Wherever the label changes, the slice around it has two of them and about as many rows as are wanted."""
    words = pa.chunked_array([labels[:3], labels[3:]], pa.large_string())
    found = around_change(words, rows)
    assert found is not None
    start, stop, change = found
    assert len({label for label in labels[start:stop] if label}) >= 2
    assert start < change < stop <= len(labels)
    assert stop - start >= min(len(labels), max(rows, FEWEST_ROWS))


def test_no_slice_is_suggested_where_the_label_never_changes() -> None:
    """One label, or none at all, cannot be mended by a slice."""
    for labels in (["a"] * 5, ["a", None, "a"], [None], []):
        assert around_change(pa.chunked_array([labels], pa.large_string()), 10) is None
