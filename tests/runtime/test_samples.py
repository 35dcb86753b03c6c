"""Samples from files: which shapes count as one or many, and what pictures become."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tosaic.runtime.artifact import TensorInfo
from tosaic.runtime.errors import ArgumentError, MalformedFileError
from tosaic.runtime.results import Results, summarise
from tosaic.runtime.samples import Samples, read_samples


def read(*specs: str | Path, inputs: list[TensorInfo], image_range: tuple[float, float] = (0, 1)) -> Samples:
    return read_samples([str(spec) for spec in specs], inputs, image_range)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two by two pixels: black, red / white, blue."""
    path = tmp_path / "picture.png"
    pixels = np.array([[[0, 0, 0], [255, 0, 0]], [[255, 255, 255], [0, 0, 255]]], np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("given", "shape", "count", "is_batch"),
    [
        ((1, 4), (1, 4), 1, False),
        ((5, 1, 4), (1, 4), 5, True),
        ((5, 4), (1, 4), 5, True),
        ((1, 1, 4), (1, 4), 1, True),
        ((2, 4), (2, 4), 1, False),
        ((3, 2, 4), (2, 4), 3, True),
        ((), (), 1, False),
        ((7,), (), 7, True),
    ],
)
def test_leading_axes_are_samples(
    tmp_path: Path, given: tuple[int, ...], shape: tuple[int, ...], count: int, is_batch: bool
) -> None:
    array = np.arange(np.prod(given), dtype=np.float32).reshape(given)
    np.save(tmp_path / "x.npy", array)
    samples = read(tmp_path / "x.npy", inputs=[TensorInfo("x", "float32", shape)])
    assert len(samples) == count and samples.is_batch == is_batch
    values = [sample["x"] for sample in samples]
    assert all(value.shape == shape for value in values)
    np.testing.assert_array_equal(np.stack(values).ravel(), array.ravel())


def test_a_batch_of_nothing_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((0, 1, 4), np.float32))
    with pytest.raises(ArgumentError, match="there is no sample among the inputs"):
        read(tmp_path / "x.npy", inputs=[TensorInfo("x", "float32", (1, 4))])


def test_an_array_that_does_not_fit_is_left_for_the_program_to_refuse(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.float32))
    (sample,) = read(tmp_path / "x.npy", inputs=[TensorInfo("x", "float32", (1, 4))])
    assert sample["x"].shape == (3, 5)


def test_floats_get_pixels_in_the_range_asked_for(picture: Path) -> None:
    tensor = TensorInfo("x", "float32", (1, 2, 2, 3))
    (sample,) = read(picture, inputs=[tensor], image_range=(-1, 1))
    expected = [[[[-1, -1, -1], [1, -1, -1]], [[1, 1, 1], [-1, -1, 1]]]]
    np.testing.assert_array_equal(sample["x"], np.array(expected, np.float32))


def test_quantised_inputs_get_pixels_as_they_are(picture: Path) -> None:
    (unsigned,) = read(picture, inputs=[TensorInfo("x", "uint8", (1, 2, 2, 3))])
    (signed,) = read(picture, inputs=[TensorInfo("x", "int8", (1, 2, 2, 3))])
    assert unsigned["x"][0, 0].tolist() == [[0, 0, 0], [255, 0, 0]]
    assert signed["x"][0, 0].tolist() == [[-128, -128, -128], [127, -128, -128]]


def test_pictures_fit_the_layout_and_channels(picture: Path) -> None:
    (planar,) = read(picture, inputs=[TensorInfo("x", "uint8", (1, 3, 2, 2))])
    assert planar["x"][0, 0].tolist() == [[0, 255], [255, 0]]
    (grey,) = read(picture, inputs=[TensorInfo("x", "uint8", (1, 2, 2, 1))])
    assert grey["x"][0, :, :, 0].tolist() == [[0, 76], [255, 29]]
    (resized,) = read(picture, inputs=[TensorInfo("x", "uint8", (1, 8, 4, 3))])
    assert resized["x"].shape == (1, 8, 4, 3) and resized["x"][0, 0, 0].tolist() == [0, 0, 0]


def test_a_folder_of_pictures_is_a_batch(tmp_path: Path) -> None:
    for name, value in (("b", 20), ("a", 10)):
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / f"{name}.png")
    samples = read(tmp_path, inputs=[TensorInfo("x", "uint8", (1, 4, 4, 1))])
    assert samples.is_batch and list(samples.labels) == ["a.png", "b.png"]
    assert [sample["x"].max() for sample in samples] == [10, 20]


def test_names_may_be_given_and_may_contain_anything(tmp_path: Path) -> None:
    np.save(tmp_path / "a=b.npy", np.zeros(3, np.float32))
    inputs = [TensorInfo("serving_default_x:0", "float32", (3,))]
    for spec in (tmp_path / "a=b.npy", f"serving_default_x:0={tmp_path / 'a=b.npy'}"):
        (sample,) = read(spec, inputs=inputs)
        assert list(sample) == ["serving_default_x:0"]


def test_what_cannot_be_a_sample_is_named(tmp_path: Path, picture: Path) -> None:
    image_input = TensorInfo("x", "float32", (1, 2, 2, 3))
    with pytest.raises(ArgumentError, match="a picture does not fit"):
        list(read(picture, inputs=[TensorInfo("x", "float32", (1, 100))]))
    with pytest.raises(ArgumentError, match="a picture cannot become"):
        list(read(picture, inputs=[TensorInfo("x", "int64", (1, 2, 2, 3))]))
    (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:40])
    with pytest.raises(MalformedFileError, match=r"broken\.png is no readable picture"):
        list(read(tmp_path / "broken.png", inputs=[image_input]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="no image or array in this folder"):
        read(tmp_path / "empty", inputs=[image_input])
    np.savez(tmp_path / "other.npz", y=np.zeros(3))
    with pytest.raises(ArgumentError, match=r"other\.npz has no array 'x', only y"):
        read(f"x={tmp_path / 'other.npz'}", inputs=[image_input])


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(MalformedFileError, match=r"x\.npy is no \.npy array"):
        read(tmp_path / "x.npy", inputs=[TensorInfo("x", "float32", (1,))])


def test_any_output_name_can_be_stored(tmp_path: Path) -> None:
    names = ["StatefulPartitionedCall:0", "a/b", "file", "größe"]
    results = Results(1, is_batch=False)
    results.add(0, {name: np.full(2, index) for index, name in enumerate(names)})
    results.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        assert {name: stored[name].tolist() for name in stored.files} == {n: [i, i] for i, n in enumerate(names)}


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (np.float32(2.5), "2.5"),
        (np.array([[1, 2]], np.int8), "1 2"),
        (np.array([[0, 1, 9, 2, 3]], np.float32), "largest 9 at [2], mean 3"),
        (np.arange(8, dtype=np.uint8).reshape(1, 2, 4), "largest 7 at [1, 3], mean 3.5"),
        (np.zeros((0, 3), np.float32), ""),
    ],
)
def test_a_summary_is_one_line(output: np.ndarray, line: str) -> None:
    assert summarise(output) == line


def test_damaged_arrays_are_refused_whatever_their_reader_raises(tmp_path: Path) -> None:
    """numpy raises a TokenError for an open bracket in the header, a NotImplementedError for an unknown compression."""
    np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes().replace(b"(3,)", b"(3,("))
    with pytest.raises(MalformedFileError, match=r"x\.npy is no \.npy array: .*statement"):
        read(tmp_path / "x.npy", inputs=[TensorInfo("x", "float32", (3,))])
    np.savez(tmp_path / "x.npz", x=np.zeros(3, np.float32))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 99
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(MalformedFileError, match=r"x\.npz has no array in 'x': That compression method"):
        read(tmp_path / "x.npz", inputs=[TensorInfo("x", "float32", (3,))])


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2, 3]))
    for name in ("x.npy", "x.npz", "pickle.npy"):
        with pytest.raises(MalformedFileError, match=name):
            read(tmp_path / name, inputs=[TensorInfo("x", "float32", (3,))])


def test_inputs_of_any_size_take_what_they_are_given(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(tmp_path / "x.png")
    picture = TensorInfo("x", "uint8", (None, None, None, 1))
    (sample,) = read_samples([str(tmp_path / "x.png")], [picture], (0, 1))
    np.testing.assert_array_equal(sample["x"], np.arange(6).reshape(1, 2, 3, 1))

    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    (whole,) = read_samples([str(tmp_path / "x.npy")], [TensorInfo("x", "float32", (None, 4))], (0, 1))
    assert whole["x"].shape == (3, 4)
    rows = list(read_samples([str(tmp_path / "x.npy")], [TensorInfo("x", "float32", (None,))], (0, 1)))
    assert [row["x"].shape for row in rows] == [(4,)] * 3
