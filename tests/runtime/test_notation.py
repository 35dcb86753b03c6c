"""Tensors as text: what can be written, what cannot, and that results can be read back."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tosaic.runtime.errors import ArgumentError, MalformedFileError
from tosaic.runtime.notation import format_tensor, is_inline, parse_tensor

DTYPES = ["float64", "float32", "float16", "bool", "int8", "int16", "int32", "int64", "uint8", "uint64"]


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))))
def test_results_can_be_read_back(array: np.ndarray) -> None:
    text = format_tensor(array)
    back = parse_tensor(text)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_bfloat16_can_be_read_back() -> None:
    array = np.array([1.0, -0.1, np.inf, np.nan, 3e38], ml_dtypes.bfloat16)
    assert format_tensor(array) == "5xbf16=[1,-0.100098,Infinity,NaN,3.00406e+38]"
    np.testing.assert_array_equal(parse_tensor(format_tensor(array)).astype(np.float32), array.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2x3xf32=1", np.ones((2, 3), np.float32)),
        ("2x2xi32=[[1,2],[3,4]]", np.array([[1, 2], [3, 4]], np.int32)),
        ("2x2xi32=[1, 2, 3, 4]", np.array([[1, 2], [3, 4]], np.int32)),
        ("f32=-2.5e-1", np.float32(-0.25)),
        ("index=7", np.int64(7)),
        ("i8=255", np.int8(-1)),
        ("2xi1=[true,0]", np.array([True, False])),
        ("0x4xf16=[]", np.zeros((0, 4), np.float16)),
        ("2xui8=[0,255]", np.array([0, 255], np.uint8)),
    ],
)
def test_forms(text: str, expected: np.ndarray) -> None:
    assert is_inline(text)
    array = parse_tensor(text)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2xf32=", "neither a number nor a list"),
        ("2xf32=[1,2,3]", "neither nested as 2 nor of 2"),
        ("2x2xf32=[[1,2],[3]]", "neither nested as 2x2 nor of 4"),
        ("2xf32=[1,[2]]", "[2] is no number"),
        ('2xf32=["1",2]', "is no number"),
        ("2xi8=[1,256]", "256 does not fit in int8"),
        ("i32=1.5", "1.5 does not fit in int32"),
        ("i1=2", "2 does not fit in bool"),
    ],
)
def test_mistakes_are_explained(text: str, reason: str) -> None:
    with pytest.raises(ArgumentError) as error:
        parse_tensor(text)
    assert reason in str(error.value)


def test_paths_are_not_tensors() -> None:
    assert not any(map(is_inline, ["image.png", "x=y.npy", "image=4x4.npy", "4x4=1", "f31=1"]))


def test_files_must_hold_what_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(parse_tensor(f"2x3xf32=@{path}"), np.arange(6).reshape(2, 3))
    with pytest.raises(ArgumentError, match=r"holds float32\[2x3\]"):
        parse_tensor(f"3x2xf32=@{path}")
    path.write_bytes(b"no array")
    with pytest.raises(MalformedFileError):
        parse_tensor(f"2x3xf32=@{path}")
    with pytest.raises(OSError):
        parse_tensor(f"2x3xf32=@{tmp_path / 'none.npy'}")


def test_bfloat16_files_are_read(tmp_path: Path) -> None:
    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", array)
    np.testing.assert_array_equal(parse_tensor(f"2xbf16=@{tmp_path / 'x.npy'}"), array)


def test_long_results_are_cut_short() -> None:
    text = format_tensor(np.zeros(2000, np.int8))
    assert text.startswith("2000xi8=[0,0,")
    assert text.endswith(",0,...]")
    assert text.count("0,") == 1024
