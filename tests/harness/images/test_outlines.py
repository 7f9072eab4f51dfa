"""The rasteriser against areas known from geometry, and against the font's own curves."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.images.outlines import Face, centred, fill, flatten

SQUARE = np.array([[-4.0, -4.0], [4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]])


def face(name: str = "DejaVuSans") -> Face:
    return Face(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf")


def test_a_square_on_the_grid_fills_exactly_its_pixels() -> None:
    image = fill([SQUARE], size=16, supersampling=4)
    expected = np.zeros((16, 16), dtype=np.uint8)
    expected[4:12, 4:12] = 255
    np.testing.assert_array_equal(image, expected)


def test_a_half_covered_pixel_is_half_bright_and_y_points_upwards() -> None:
    image = fill([SQUARE + np.array([0.0, 2.5])], size=16, supersampling=4)
    assert image[1, 8] == 128
    assert image[2, 8] == 255
    assert image[9, 8] == 128
    assert image[10:].max() == 0


def test_winding_decides_whether_an_inner_contour_is_a_hole() -> None:
    inner = SQUARE / 2
    hole = fill([SQUARE, inner[::-1]], size=16, supersampling=4)
    overlap = fill([SQUARE, inner], size=16, supersampling=4)
    assert hole[8, 8] == 0
    assert hole[5, 5] == 255
    assert overlap[8, 8] == 255


def test_what_lies_outside_the_image_is_cut_off_and_not_wrapped_round() -> None:
    image = fill([SQUARE + np.array([8.0, 0.0])], size=16, supersampling=4)
    assert image[8, 12:].min() == 255
    assert image[:, :12].max() == 0


@given(st.lists(st.floats(0.0, 6.28), min_size=3, max_size=12, unique=True), st.floats(2.0, 12.0))
def test_the_bright_area_of_a_convex_polygon_is_its_shoelace_area(angles: list[float], radius: float) -> None:
    turned = np.sort(np.array(angles))
    polygon = radius * np.stack([np.cos(turned), np.sin(turned)], axis=1)
    following = np.roll(polygon, -1, axis=0)
    area = abs((polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum()) / 2
    bright = fill([polygon], size=32, supersampling=8).sum() / 255
    perimeter = np.linalg.norm(following - polygon, axis=1).sum()
    assert bright == pytest.approx(area, abs=0.1 + perimeter / 8)


def test_two_control_points_in_a_row_imply_a_point_on_the_curve_between_them() -> None:
    circle = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    polygon = flatten(circle, np.zeros(4, dtype=np.int64))
    for point in ([0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.75, 0.75]):
        assert np.isclose(polygon, point).all(axis=1).any(), point


def test_a_centred_letter_has_the_wanted_extent_and_its_box_around_the_origin() -> None:
    points = np.concatenate(centred(face().outline("W"), 22.0))
    assert (points.max(axis=0) - points.min(axis=0)).max() == pytest.approx(22.0)
    np.testing.assert_allclose(points.max(axis=0), -points.min(axis=0))


def test_a_composite_letter_has_the_contours_of_its_parts() -> None:
    assert len(face().outline("Й")) > len(face().outline("И"))


def test_a_letter_that_the_face_lacks_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        face().outline("漢")
