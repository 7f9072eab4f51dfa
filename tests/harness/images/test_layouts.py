"""Every layout in common use of every dataset, in miniature, and what is said when a file is not what it should be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from mlrc.harness.images import cars196, cub200, inshop, sop
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.content import with_content
from mlrc.harness.images.dataset import DATASETS, ImageSet
from mlrc.protocols.datasets.facts import DatasetFacts

MakeImage = Callable[..., None]


def small(facts: DatasetFacts, images: int, classes: int) -> DatasetFacts:
    return replace(facts, images=images, classes=classes)


def paths_of(images: ImageSet) -> list[str]:
    return list(vars(images.pixels)["paths"])


# CUB-200-2011

BIRDS = {"002.Auk": ["b.jpg", "a.jpg"], "001.Albatross": ["d.jpg", "c.jpg"]}
BIRD_FACTS = small(cub200.DATASET.facts, 4, 2)


def make_birds(place: Path, make_image: MakeImage, *, lists: bool) -> None:
    files = [f"{name}/{file}" for name, names in BIRDS.items() for file in names]
    for file in files:
        make_image(place / "images" / file)
    if lists:
        (place / "images.txt").write_text("".join(f"{n} {file}\n" for n, file in enumerate(files, start=1)))
        (place / "image_class_labels.txt").write_text("1 2\n2 2\n3 1\n4 1\n")


@pytest.mark.parametrize("place", ["", "CUB_200_2011", "cub200", "cub200/CUB_200_2011"])
@pytest.mark.parametrize("lists", [True, False])
def test_cub_is_read_in_the_order_of_its_folders_wherever_it_lies(
    tmp_path: Path, make_image: MakeImage, place: str, lists: bool
) -> None:
    make_birds(tmp_path / place, make_image, lists=lists)
    images = cub200.open_cub200(tmp_path, BIRD_FACTS)
    assert paths_of(images) == ["001.Albatross/c.jpg", "001.Albatross/d.jpg", "002.Auk/a.jpg", "002.Auk/b.jpg"]
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.class_names == ("001.Albatross", "002.Auk")


def test_cub_from_lists_and_from_folders_is_the_same_set(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path / "with", make_image, lists=True)
    make_birds(tmp_path / "without", make_image, lists=False)
    one, other = (cub200.open_cub200(tmp_path / name, BIRD_FACTS) for name in ("with", "without"))
    assert with_content(one).fingerprint == with_content(other).fingerprint
    assert one.earlier == other.earlier


def test_cub_as_bare_class_folders_is_the_same_set(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=False)
    one, other = (cub200.open_cub200(place, BIRD_FACTS) for place in (tmp_path / "images", tmp_path))
    assert with_content(one).fingerprint == with_content(other).fingerprint


def test_a_list_that_names_a_missing_file_says_which(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=True)
    (tmp_path / "images" / "002.Auk" / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"images\.txt names the image 002\.Auk/a\.jpg, but .* cannot be read"):
        cub200.open_cub200(tmp_path, BIRD_FACTS)


def test_lists_that_disagree_are_named(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=True)
    (tmp_path / "image_class_labels.txt").write_text("1 2\n2 2\n3 1\n")
    with pytest.raises(ValueError, match="must name the same images, but only one has number 4"):
        cub200.open_cub200(tmp_path, BIRD_FACTS)
    (tmp_path / "image_class_labels.txt").write_text("1 2\n2 2\n3 1\n4\n")
    with pytest.raises(ValueError, match=r"image_class_labels\.txt must have 2 columns .* line 4 has 1"):
        cub200.open_cub200(tmp_path, BIRD_FACTS)
    (tmp_path / "image_class_labels.txt").write_text("1 2\n2 2\n3 1\n4 x\n")
    with pytest.raises(ValueError, match=r"image_class_labels\.txt must have a whole number where it has 'x'"):
        cub200.open_cub200(tmp_path, BIRD_FACTS)


def test_a_wrong_count_says_both_counts(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=True)
    with pytest.raises(ValueError, match="must have 11,788 images of 200 classes, but .* has 4 of 2"):
        cub200.open_cub200(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=False)
    (tmp_path / "images" / "003.Empty").mkdir()
    with pytest.raises(ValueError, match=r"must hold images, but .*003\.Empty holds none"):
        cub200.open_cub200(tmp_path, BIRD_FACTS)


# Cars196

CARS = [("Zeta RS 2012", 1), ("Alpha C/V Van 2008", 2), ("Zeta RS 2012", 1), ("Alpha C/V Van 2008", 2)]
CAR_NAMES = np.array(["Zeta RS 2012", "Alpha C/V Van 2008"], dtype=object)
CAR_FACTS = small(cars196.DATASET.facts, 4, 2)


def annotations(names: list[str], labels: list[int], column: str) -> dict[str, Any]:
    rows = np.zeros((1, len(names)), dtype=[("class", "O"), (column, "O")])
    rows["class"][0], rows[column][0] = labels, names
    return {"annotations": rows, "class_names": CAR_NAMES}


def make_one_list(root: Path, make_image: MakeImage) -> list[str]:
    names = [f"car_ims/{number:06d}.jpg" for number in range(1, 5)]
    for name in names:
        make_image(root / name)
    savemat(root / "cars_annos.mat", annotations(names, [label for _, label in CARS], "relative_im_path"))
    return names


def make_devkit(root: Path, make_image: MakeImage, *, devkit: str, nested: bool) -> list[str]:
    (root / devkit).mkdir(parents=True, exist_ok=True)
    paths = []
    for half, file in (("cars_train", "cars_train_annos.mat"), ("cars_test", "cars_test_annos_withlabels.mat")):
        names = ["00001.jpg", "00002.jpg"]
        folder_ = f"{half}/{half}" if nested else half
        paths += [f"{folder_}/{name}" for name in names]
        for name in names:
            make_image(root / folder_ / name)
        savemat(root / devkit / file, annotations(names, [1, 2], "fname"))
    savemat(root / devkit / "cars_meta.mat", {"class_names": CAR_NAMES})
    return paths


@pytest.mark.parametrize("place", ["", "cars196", "stanford_cars"])
def test_cars_from_one_list(tmp_path: Path, make_image: MakeImage, place: str) -> None:
    names = make_one_list(tmp_path / place, make_image)
    images = cars196.open_cars196(tmp_path, CAR_FACTS)
    assert paths_of(images) == names
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.class_names == tuple(CAR_NAMES)


@pytest.mark.parametrize("devkit", ["", "devkit", "car_devkit/devkit"])
@pytest.mark.parametrize("nested", [True, False])
def test_cars_from_the_devkit(tmp_path: Path, make_image: MakeImage, devkit: str, nested: bool) -> None:
    paths = make_devkit(tmp_path, make_image, devkit=devkit, nested=nested)
    images = cars196.open_cars196(tmp_path, CAR_FACTS)
    assert paths_of(images) == paths
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.class_names == tuple(CAR_NAMES)


@pytest.mark.parametrize("place", ["car_data/car_data", "car_data", ""])
def test_cars_by_class_folders_follow_the_names_file_and_not_the_alphabet(
    tmp_path: Path, make_image: MakeImage, place: str
) -> None:
    for half in ("train", "test"):
        for name in ("Zeta RS 2012", "Alpha C-V Van 2008"):
            make_image(tmp_path / place / half / name / f"{half}.jpg")
    (tmp_path / "names.csv").write_text("Zeta RS 2012\nAlpha C/V Van 2008\n")
    images = cars196.open_cars196(tmp_path, CAR_FACTS)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert paths_of(images)[:2] == ["train/Zeta RS 2012/train.jpg", "test/Zeta RS 2012/test.jpg"]


def test_cars_in_one_folder_of_class_folders(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("Zeta RS 2012", "Alpha C-V Van 2008"):
        for file in ("1.jpg", "2.jpg"):
            make_image(tmp_path / "images" / name / file)
    savemat(tmp_path / "cars_meta.mat", {"class_names": CAR_NAMES})
    images = cars196.open_cars196(tmp_path, CAR_FACTS)
    assert images.class_names == tuple(CAR_NAMES)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert [path.split("/")[1] for path in paths_of(images)] == ["Zeta RS 2012"] * 2 + ["Alpha C-V Van 2008"] * 2


def test_cars_by_class_folders_without_their_order_or_with_a_class_missing_are_refused(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image(tmp_path / "images" / "Zeta RS 2012" / "1.jpg")
    with pytest.raises(FileNotFoundError, match="needs the official order of its classes"):
        cars196.open_cars196(tmp_path, CAR_FACTS)
    (tmp_path / "names.csv").write_text("Zeta RS 2012\nAlpha C/V Van 2008\n")
    with pytest.raises(ValueError, match="one folder for each of the 2 classes .* differ in 'Alpha C-V Van 2008'"):
        cars196.open_cars196(tmp_path, CAR_FACTS)


def test_a_truncated_matlab_file_is_named(tmp_path: Path, make_image: MakeImage) -> None:
    make_one_list(tmp_path, make_image)
    path = tmp_path / "cars_annos.mat"
    for content in (path.read_bytes()[:300], b"no matlab file at all", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cars_annos\.mat must be a whole MATLAB file"):
            cars196.open_cars196(tmp_path, CAR_FACTS)


# Stanford Online Products

SOP_FACTS = small(sop.DATASET.facts, 5, 3)
PRODUCTS = [
    "bicycle_final/1_0.JPG",
    "bicycle_final/1_1.JPG",
    "mug_final/2_0.JPG",
    "mug_final/2_1.JPG",
    "mug_final/3_0.JPG",
]


def make_products(place: Path, make_image: MakeImage, *, lists: str, photos: str) -> None:
    for name in PRODUCTS:
        make_image(place / photos / name)
    header = "image_id class_id super_class_id path\n"
    (place / lists).mkdir(parents=True, exist_ok=True)
    (place / lists / "Ebay_train.txt").write_text(f"{header}1 1 1 {PRODUCTS[0]}\n2 1 1 {PRODUCTS[1]}\n")
    rows = "".join(f"{n} {label} 2 {name}\n" for n, label, name in zip((3, 4, 5), (2, 2, 3), PRODUCTS[2:], strict=True))
    (place / lists / "Ebay_test.txt").write_text(header + rows)


@pytest.mark.parametrize("place", ["", "Stanford_Online_Products", "sop", "online_products"])
@pytest.mark.parametrize(("lists", "photos"), [("", ""), ("Info_Files", "images")])
def test_sop_is_the_train_rows_then_the_test_rows(
    tmp_path: Path, make_image: MakeImage, place: str, lists: str, photos: str
) -> None:
    make_products(tmp_path / place, make_image, lists=lists, photos=photos)
    images = sop.open_sop(tmp_path, SOP_FACTS)
    assert paths_of(images) == PRODUCTS
    assert images.labels.tolist() == [0, 0, 1, 1, 2]
    assert images.queries is None


def test_sop_has_both_cuts() -> None:
    assert sop.DATASET.facts.official_trainval_classes == 11_318
    assert (sop.DATASET.facts.classes or 0) // 2 == 11_317


# In-Shop

INSHOP_FACTS = small(inshop.DATASET.facts, 6, 3)
ROWS = [
    ("img/WOMEN/Tees/id_00000009/01_1_front.jpg", "id_00000009", "train"),
    ("img/WOMEN/Tees/id_00000009/01_2_side.jpg", "id_00000009", "train"),
    ("img/MEN/Tees/id_00000002/01_1_front.jpg", "id_00000002", "query"),
    ("img/MEN/Tees/id_00000002/01_2_side.jpg", "id_00000002", "gallery"),
    ("img/MEN/Tees/id_00000001/01_1_front.jpg", "id_00000001", "gallery"),
    ("img/MEN/Tees/id_00000001/01_2_side.jpg", "id_00000001", "query"),
]


def make_clothes(place: Path, make_image: MakeImage, *, eval_: str, img: str, rows: list[tuple[str, str, str]]) -> None:
    for name, *_ in rows:
        make_image(place / img / name)
    (place / eval_).mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{name}  {item}   {status}\n" for name, item, status in rows)
    (place / eval_ / inshop.LIST).write_text(f"{len(rows)}\nimage_name item_id evaluation_status\n{lines}")


@pytest.mark.parametrize("place", ["", "Inshop_Clothes", "In-shop", "inshop"])
@pytest.mark.parametrize(("eval_", "img"), [("", ""), ("Eval", "Img")])
def test_inshop_has_train_items_first_and_marks_the_queries(
    tmp_path: Path, make_image: MakeImage, place: str, eval_: str, img: str
) -> None:
    make_clothes(tmp_path / place, make_image, eval_=eval_, img=img, rows=ROWS)
    images = inshop.open_inshop(tmp_path, INSHOP_FACTS)
    assert images.class_names == ("id_00000009", "id_00000001", "id_00000002")
    assert images.labels.tolist() == [0, 0, 2, 2, 1, 1]
    assert images.queries is not None
    assert images.queries.tolist() == [False, False, True, False, False, True]


def test_inshop_refuses_an_unknown_status_and_an_item_in_both_halves(tmp_path: Path, make_image: MakeImage) -> None:
    make_clothes(tmp_path, make_image, eval_="", img="", rows=[*ROWS[:5], (*ROWS[5][:2], "test")])
    with pytest.raises(ValueError, match="must say train, query or gallery, but it says 'test'"):
        inshop.open_inshop(tmp_path, INSHOP_FACTS)
    make_clothes(tmp_path, make_image, eval_="", img="", rows=[*ROWS[:5], (*ROWS[5][:2], "train")])
    with pytest.raises(ValueError, match="must divide the items, but id_00000001 is in both halves"):
        inshop.open_inshop(tmp_path, INSHOP_FACTS)


# What all have in common


@pytest.mark.parametrize("name", ["cub200", "cars196", "sop", "inshop"])
def test_an_absent_dataset_says_what_it_needs_and_where_it_is_published(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"needs .* but there is none in .*source: .*https://.*\.$"):
        open_dataset(name, tmp_path)
    assert DATASETS.find(name).facts.name == name


def test_a_name_with_a_path_opens_the_dataset_there(tmp_path: Path, make_image: MakeImage) -> None:
    make_birds(tmp_path, make_image, lists=True)
    with pytest.raises(ValueError, match="has 4 of 2"):
        open_dataset(f"cub200:{tmp_path}", tmp_path / "elsewhere")


@pytest.mark.shared_data
def test_the_real_lists_have_the_published_counts(shared_data: Path) -> None:
    birds = cub200.list_cub200(shared_data / "cub_200_2011")
    assert (len(birds.paths), len(birds.class_names)) == (11_788, 200)
    assert ((birds.labels < 100).sum(), (birds.labels >= 100).sum()) == (5_864, 5_924)
    cars = cars196.list_cars196(shared_data / "cars196_devkit")
    assert (len(cars.paths), len(cars.class_names)) == (16_185, 196)
    assert ((cars.labels < 98).sum(), (cars.labels >= 98).sum()) == (8_054, 8_131)
