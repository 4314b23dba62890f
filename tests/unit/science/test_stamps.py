"""Cutouts are read as FITS says, and clipped as astropy clips."""

from __future__ import annotations

import gzip
import io
import warnings
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import sigma_clip as clip_of_astropy
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.errors import DataError
from fink_lib.science.stamps import central, read_stamp, sigma_clip


def fits_file(image: np.ndarray[Any, Any], compress: bool = True) -> bytes:
    """Write an image with astropy."""
    file = io.BytesIO()
    fits.PrimaryHDU(image).writeto(file)
    return gzip.compress(file.getvalue()) if compress else file.getvalue()


@pytest.mark.parametrize("kind", ["f4", "f8", "u1", "i2", "i4", "u2"])
@pytest.mark.parametrize("compress", [True, False])
def test_an_image_is_read_as_it_was_written(kind: str, compress: bool) -> None:
    image = np.arange(12, dtype=kind).reshape(3, 4)
    np.testing.assert_array_equal(read_stamp(fits_file(image, compress)), image)


def test_pixels_without_a_value_stay_without() -> None:
    image = np.array([[1.0, np.nan]], dtype="f4")
    np.testing.assert_array_equal(read_stamp(fits_file(image)), image)


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"", "no FITS header"),
        (b"\x1f\x8bnothing", "not gzip"),
        (gzip.compress(b"SIMPLE  =                    T".ljust(2880)), "no FITS header"),
        (fits_file(np.zeros((3, 4)), compress=False)[:2880], "0 bytes of data"),
        (fits_file(np.zeros(4)), "bytes of data"),
        (gzip.compress("".join(c.ljust(80) for c in ("SIMPLE  = T", "BITPIX  = 12", "END")).encode()), "header"),
        (gzip.compress(bytes(9 * 1024 * 1024)), "larger than"),
    ],
    # a gzip header holds the time: bytes as names would differ between processes that collect the tests
    ids=["empty", "not gzip", "no end", "no data", "too little", "bits", "too large"],
)
def test_what_is_no_image_is_refused_by_name(file: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_stamp(file)


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5, 30]), st.sampled_from([0, 1, 7]))
def test_pixels_are_clipped_as_by_astropy(seed: int, degrees: int, gaps: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.standard_t(degrees, size=(3, 15, 14)) * 10 + 1e4
    images.reshape(-1)[rng.integers(images.size, size=gaps)] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        expected = [np.ma.getmaskarray(clip_of_astropy(one, sigma=3, maxiters=10)) for one in images]
    np.testing.assert_array_equal(sigma_clip(images), expected)


def test_a_constant_image_loses_nothing_and_an_empty_one_everything() -> None:
    images = np.array([np.full((4, 4), 7.0), np.full((4, 4), np.nan)])
    assert sigma_clip(images).sum(axis=(1, 2)).tolist() == [0, 16]


def test_how_an_image_is_clipped_does_not_depend_on_its_neighbours() -> None:
    images = np.random.default_rng(1).standard_t(2, size=(20, 9, 9))
    alone = np.concatenate([sigma_clip(one[None]) for one in images])
    np.testing.assert_array_equal(sigma_clip(images), alone)


def test_the_centre_is_the_centre() -> None:
    image = np.arange(25.0).reshape(1, 5, 5)
    assert central(image, 3).tolist() == [[[6, 7, 8], [11, 12, 13], [16, 17, 18]]]
    assert central(image, 2).tolist() == [[[6, 7], [11, 12]]]
