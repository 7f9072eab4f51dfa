"""Manifests: each column, and of what could be read in two ways one sentence with file, line and way out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.images.content import with_content
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.folder import open_folder
from mlrc.harness.plan import split
from mlrc.protocols.quick import QUICK

MakeImage = Callable[..., None]


@pytest.fixture
def place(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of eight images, 1.jpg to 8.jpg."""
    for number in range(1, 9):
        make_image(tmp_path / f"{number}.jpg")
    return tmp_path


def opened(place: Path, content: str | bytes) -> ImageSet:
    data = content.encode() if isinstance(content, str) else content
    (place / "manifest.csv").write_bytes(data)
    return open_folder(place)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("path,label\n1.jpg,a\n2.jpg,a\n./1.jpg,a\n", "name every image once, but names 1.jpg in lines 2 and 4"),
        ("path,label\n1.jpg,a\n2.jpg,a\nx/../1.jpg,b\n", "one class, but 1.jpg has 'a' and 'b' in lines 2 and 4"),
        ("path,label\n1.jpg,7\n2.jpg,07\n", r"writes one as '7' \(line 2\) and as '07' \(line 3\)"),
        ("path,label\n../1.jpg,a\n", "line 2: every path must lie in the folder of the manifest, but '../1.jpg' leads"),
        ("path,label\n/etc/x.jpg,a\n", "line 2: every path must lie in the folder of the manifest, but '/etc/x.jpg'"),
        ("path;label\n1.jpg;a\n", "line 1: commas must divide the columns, but semicolons do; save it with commas"),
        ("path\tlabel\n1.jpg\ta\n", "line 1: commas must divide the columns, but tabulators do"),
        ("path,label,path\n1.jpg,a,2.jpg\n", "line 1: every column must have its own name, but path is there twice"),
        ("path,label\n1.jpg,a,b\n", "line 2: there must be 2 fields as in line 1, but there are 3"),
        ('path,label\n1.jpg,a\n"2.jpg,a\n3.jpg,a\n', "line 3: the line cannot be divided into fields"),
        ('path,label\n1.jpg,"a\n2.jpg,a"\n3.jpg,a\n', "line 2: a quote is not closed in its line; pair the quotes"),
        ('path,label\n1.jpg,"a"b\n', "line 2: the line cannot be divided into fields"),
        ('path,label\n1.jpg,"' + "a\n2.jpg,b\n" * 30_000, "line 2: the line cannot be divided into fields"),
        (b"path,label\n1.jpg,a\n2.jpg,caf\xe9\n", "line 3: the file must be UTF-8, but the byte 0xe9 is not"),
        (b"path,label\n1.jpg,a\n2.jpg,\0\n", "line 3: the file must be UTF-8 text, but it holds a NUL byte"),
        ("path,label\n1.jpg,a\n".encode("utf-16"), "line 1: the file must be UTF-8, but it is UTF-16; save it"),
        ("path,label\n1.jpg,a\n".encode("utf-16-le"), "line 1: the file must be UTF-8 text, but it holds a NUL byte"),
        ("path,label\n1.jpg,a\nabsent.jpg,a\nalso.jpg,a\n", "names the image absent.jpg, but .*, nor can also.jpg; br"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,a,tests\n", "line 3: split must be train, .*, but is 'tests'"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,a,\n", "line 3: split must be train, .*, but is ''"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,a,train\n", "both sides of its split, but none is test"),
        (
            "path,label,split\n1.jpg,a,train\n2.jpg,a,train\n3.jpg,a,test\n",
            r"has 1 on both sides, such as 'a' \(line 2 and line 4\)",
        ),
        ("path,label,query\n1.jpg,a,1\n", "line 1: the column query needs the column split"),
        ("path,label,split,query\n1.jpg,a,train,1\n", "line 2: only a test image can ask, but the split says train"),
        ("path,label,split,query\n1.jpg,a,test,maybe\n", "line 2: query must be 1 or 0, but is 'maybe'"),
        ("path,label,split,query\n1.jpg,a,gallery,1\n", "line 2: split and query contradict each other"),
        (
            "path,label,split,query\n1.jpg,a,train,0\n2.jpg,a,train,0\n3.jpg,b,test,1\n4.jpg,b,test,1\n",
            "some queries and some gallery, but in .* all of them are one",
        ),
        ("path,label,split\n1.jpg,a,train\n3.jpg,b,test\n4.jpg,b,query\n", "gallery, but in .* line 3 tells neither"),
        (
            "path,label,split\n1.jpg,a,train\n2.jpg,a,train\n3.jpg,b,query\n4.jpg,c,gallery\n",
            "A query must have an image of its class to find",
        ),
        ("path,label,camera\n1.jpg,a,x\n2.jpg,a,\n", "line 3: a test image must have a camera where there is"),
        ("path,label,camera\n1.jpg,a,x\n2.jpg,a,x\n", "an image of its class to find, by another camera"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused_in_a_sentence(
    place: Path, content: str | bytes, sentence: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        opened(place, content)
    assert str(place / "manifest.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blanks_cases_and_absolute_paths_that_say_one_thing_are_read(place: Path) -> None:
    content = f" Path , LABEL\n 1.jpg , a \n{place / '2.jpg'},a\nx/../3.jpg,\u00a0b\n\n4.jpg,b\n"
    images = opened(place, content)
    assert vars(images.pixels)["paths"] == ("1.jpg", "2.jpg", "3.jpg", "4.jpg")
    assert (images.class_names, images.labels.tolist()) == (("a", "b"), [0, 0, 1, 1])


def test_composed_and_decomposed_accents_find_each_other(place: Path, make_image: MakeImage) -> None:
    make_image(place / "cafe\u0301" / "\u00e9t\u00e9.jpg")
    make_image(place / "cafe\u0301" / "2.jpg")
    content = "path,label\ncaf\u00e9/e\u0301te\u0301.jpg,caf\u00e9\ncaf\u00e9/2.jpg,cafe\u0301\n"
    images = opened(place, content)
    assert images.class_names == ("caf\u00e9",)
    assert images.pixels[0].shape == (9, 12, 3)
    with pytest.raises(ValueError, match="name every image once"):
        opened(place, content + "cafe\u0301/2.jpg,caf\u00e9\n")


def test_a_link_and_its_target_are_one_image(place: Path) -> None:
    (place / "link.jpg").symlink_to(place / "1.jpg")
    with pytest.raises(ValueError, match=r"name every image once, but names link\.jpg in lines 2 and 3"):
        opened(place, "path,label\n1.jpg,a\nlink.jpg,a\n")


SPLIT = """path,label,split,query,camera
1.jpg,z,train,,
2.jpg,z,val,,x
3.jpg,y,train,0,
4.jpg,y,train,no,
5.jpg,a,test,1,x
6.jpg,a,test,0,y
7.jpg,b,test,gallery,y
8.jpg,a,test,0,x
"""


def test_a_split_of_the_user_s_own_with_queries_and_cameras_is_honoured(place: Path) -> None:
    images = opened(place, SPLIT)
    assert (images.class_names, images.trainval_classes) == (("y", "z", "a", "b"), 2)
    assert images.queries is not None
    assert images.cameras is not None
    assert np.flatnonzero(images.queries).tolist() == [4]
    assert images.cameras.tolist() == [-1, 0, -1, -1, 0, 1, 1, 0]
    own = split.split(images, QUICK.vary({"folds": 2, "validation_fraction": 0.5}))
    assert own.test.tolist() == split.test_images(images, "own").tolist() == [4, 5, 6, 7]
    assert own.folds[0].train.tolist() == [2, 3]


def test_split_queries_and_cameras_are_part_of_the_fingerprint(place: Path) -> None:
    contents = [
        SPLIT,
        SPLIT.replace("7.jpg,b,test,gallery,y", "7.jpg,b,test,1,y"),
        SPLIT.replace("8.jpg,a,test,0,x", "8.jpg,a,test,0,y"),
        "\n".join(line.rsplit(",", 1)[0] for line in SPLIT.splitlines()),
        "\n".join(",".join(line.split(",")[:3]).replace("7.jpg,b", "7.jpg,a") for line in SPLIT.splitlines()),
        "\n".join(",".join(line.split(",")[:2]).replace("7.jpg,b", "7.jpg,a") for line in SPLIT.splitlines()),
    ]
    assert len({with_content(opened(place, content)).fingerprint for content in contents}) == len(contents)
