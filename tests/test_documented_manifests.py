"""The programs of docs/data.md that write manifests, executed on published layouts in miniature."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrc.harness.images.folder import open_folder

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
LAYOUTS = {
    "market": [
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002_c2s1_000451_03.jpg",
        "query/0005_c1s1_1_00.jpg",
        "bounding_box_test/0005_c1s1_2_00.jpg",
        "bounding_box_test/0005_c2s1_3_00.jpg",
        "bounding_box_test/0000_c1s1_4_00.jpg",
        "bounding_box_test/-1_c1s1_5_00.jpg",
    ],
    "veri": [
        "image_train/0001_c001_1_0.jpg",
        "image_train/0001_c002_1_0.jpg",
        "image_query/0002_c002_00030600_0.jpg",
        "image_test/0002_c002_00030600_0.jpg",
        "image_test/0002_c003_00030600_0.jpg",
    ],
    "inaturalist": ["Aves/1/a.jpg", "Aves/1/b.jpg", "Aves/2/a.jpg", "Aves/2/b.jpg"],
}


@pytest.mark.parametrize(("layout", "program"), list(zip(LAYOUTS, PROGRAMS, strict=True)))
def test_a_documented_program_writes_a_manifest_that_is_honoured(tmp_path: Path, layout: str, program: str) -> None:
    for number, name in enumerate(LAYOUTS[layout]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(tmp_path / name)
    (tmp_path / "train.txt").write_text("Aves/2/a.jpg\nAves/2/b.jpg\n")
    (tmp_path / "test.txt").write_text("Aves/1/a.jpg\nAves/1/b.jpg\n")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    images = open_folder(tmp_path)
    assert images.trainval_classes == 1
    if layout == "inaturalist":
        assert (images.class_names, images.queries, images.cameras) == (("2", "1"), None, None)
        return
    assert images.class_names == {"market": ("0002", "0000", "0005"), "veri": ("0001", "0002")}[layout]
    assert images.queries is not None
    assert images.queries.sum() == 1
    assert images.cameras is not None
    assert len(np.unique(images.cameras)) == {"market": 2, "veri": 3}[layout]
