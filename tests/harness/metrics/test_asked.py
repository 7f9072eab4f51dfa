"""What is asked of embeddings: labels are compared as they are, and a query in the gallery is known by what it is."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.metrics.asked import asked
from mlrc.harness.metrics.retrieval import retrieval

HIGH = 2**53


@pytest.fixture
def rows() -> NDArray[np.float64]:
    random = np.random.default_rng(0)
    return random.standard_normal((10, 6)).repeat(6, axis=0) + 0.3 * random.standard_normal((60, 6))


def test_signed_and_unsigned_integers_are_compared_as_integers(rows: NDArray[np.float64]) -> None:
    labels = np.arange(10).repeat(6)
    expected = retrieval(rows[::2], labels[::2], gallery_embeddings=rows[1::2], gallery_labels=labels[1::2])
    assert expected.means()["MAP@R"] > 80
    for offset in (HIGH, 2**63 - 20, 2**62):
        signed, unsigned = (labels + offset)[::2], labels.astype(np.uint64)[1::2] + np.uint64(offset)
        for one, other in ((signed, unsigned), (signed.astype(np.uint64), unsigned.astype(np.int64))):
            found = retrieval(rows[::2], one, gallery_embeddings=rows[1::2], gallery_labels=other)
            assert found.means() == expected.means()
            assert found.labels.tolist() == signed[found.queries].tolist()


def test_integers_that_no_type_holds_together_stay_apart(rows: NDArray[np.float64]) -> None:
    labels = np.arange(10).repeat(6)
    expected = retrieval(rows[::2], labels[::2], gallery_embeddings=rows[1::2], gallery_labels=labels[1::2])
    signed = np.where(labels == 0, -5, labels + 2**62)[::2]
    unsigned = np.where(labels == 1, np.uint64(2**64 - 5), labels.astype(np.uint64) + np.uint64(2**62))[1::2]
    found = retrieval(rows[::2], signed, gallery_embeddings=rows[1::2], gallery_labels=unsigned)
    assert found.left_out == 6  # -5 is not 2^64 - 5, nor 2^62
    known = labels[::2][expected.queries] >= 2
    assert found.per_query["MAP@R"].tolist() == expected.per_query["MAP@R"][known].tolist()
    beyond = retrieval(rows, labels.astype(np.uint64) + np.uint64(2**63))
    assert beyond.labels.tolist() == labels.tolist()
    assert beyond.means() == retrieval(rows, labels).means()


def test_labels_of_bytes_are_utf8(rows: NDArray[np.float64]) -> None:
    labels = np.array(["été", "a", "b", "c", "d", "e", "f", "g", "h", "ß"]).repeat(6)
    expected = retrieval(rows, labels).means()
    assert retrieval(rows, np.char.encode(labels, "utf-8")).means() == expected
    assert retrieval(rows, np.array([one.encode() for one in labels.tolist()], dtype=object)).means() == expected
    with pytest.raises(ValueError, match=r"Labels of bytes must be UTF-8, but those of the embeddings have b'\\xe9'"):
        retrieval(rows, np.char.encode(np.char.replace(labels, "été", "é"), "latin-1"))


def test_queries_in_the_gallery_are_left_out_by_what_they_are(rows: NDArray[np.float64]) -> None:
    labels = np.arange(10).repeat(6)
    twin = rows.copy()
    twin[1] = twin[0]  # equal, but another image
    expected = retrieval(twin, labels)
    order = np.random.default_rng(0).permutation(60)
    found = retrieval(
        twin,
        labels,
        gallery_embeddings=twin[order],
        gallery_labels=labels[order],
        identities=np.arange(60),
        gallery_identities=order,
    )
    assert found.means() == expected.means()
    assert found.positives.tolist() == [5] * 60
    themselves = retrieval(twin, labels, gallery_embeddings=twin, gallery_labels=labels)
    assert themselves.means()["P@1"] == 100


def test_an_image_with_two_labels_or_cameras_is_refused(rows: NDArray[np.float64]) -> None:
    labels = np.arange(10).repeat(6)
    told: dict[str, Any] = {"identities": np.arange(60), "gallery_identities": np.arange(60), "depth": 1}
    other = np.where(np.arange(60) == 7, 9, labels)
    with pytest.raises(ValueError, match=r"one label, but query 7 has another one in the gallery \(row 7\)"):
        asked(rows, labels, gallery_embeddings=rows, gallery_labels=other, **told)
    cameras: dict[str, Any] = {"cameras": np.zeros(60, int), "gallery_cameras": (np.arange(60) == 8).astype(int)}
    with pytest.raises(ValueError, match=r"one camera, but query 8 has another one"):
        asked(rows, labels, gallery_embeddings=rows, gallery_labels=labels, **told, **cameras)
