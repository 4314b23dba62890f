"""Cutouts: 63 by 63 pixels of science, template and difference image, as gzipped FITS."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import Floats

SIDE = 63
_BLOCK = 2880
_GZIP = 31  # window bits of zlib that put a gzip frame, without a time, around the data
_LEVEL = 1
_SKY_NOISE = 9.0
_TEMPLATE_NOISE = 2.5
_COUNTS_AT_LIMIT = 320.0  # flux of a source at the five-sigma depth

Stamps = npt.NDArray[np.float32]


def _header() -> bytes:
    cards = (
        "SIMPLE  =                    T",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        f"NAXIS1  = {SIDE:20d}",
        f"NAXIS2  = {SIDE:20d}",
        "BUNIT   = 'DN      '",
        "END",
    )
    return "".join(card.ljust(80) for card in cards).ljust(_BLOCK).encode()


_HEADER = _header()
_PADDING = bytes(-(SIDE * SIDE * 4) % _BLOCK)


def render(
    rng: np.random.Generator,
    depth: Floats,
    seeing: Floats,
    difference_mag: Floats,
    positive: npt.NDArray[np.bool_],
    reference_mag: Floats,
    host_offset: Floats,
    bogus: npt.NDArray[np.bool_],
) -> tuple[Stamps, Stamps, Stamps]:
    """Draw the three images of each alert; the difference is science minus template.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    depth, seeing : array
        Limiting magnitude and full width at half maximum (pixels).
    difference_mag, positive : array
        Of the difference.
    reference_mag : array
        Of what the template shows; infinite if nothing.
    host_offset : array of (2, alert)
        Where that is, in pixels from the centre.
    bogus : array of bool
        Alerts that are artefacts: a few hot pixels instead of a point source.
    """
    count = len(depth)
    scale = _COUNTS_AT_LIMIT * 10 ** (0.4 * depth)
    change = np.where(positive, 1.0, -1.0) * scale * 10 ** (-0.4 * difference_mag)
    still = scale * np.nan_to_num(10 ** (-0.4 * reference_mag))
    width = seeing / 2.3548
    source = _profile(width, np.zeros((2, count)))
    source[bogus] = _spikes(rng, int(bogus.sum()))
    template = still[:, None, None].astype(np.float32) * _profile(1.05 * width, host_offset)
    science = template + np.maximum(change, -0.95 * still - 40.0)[:, None, None].astype(np.float32) * source
    science += np.float32(_SKY_NOISE) * rng.standard_normal(science.shape, dtype=np.float32) + np.float32(120.0)
    template += np.float32(_TEMPLATE_NOISE) * rng.standard_normal(template.shape, dtype=np.float32) + np.float32(120.0)
    return science, template, science - template


def gzipped_fits(images: Stamps) -> list[bytes]:
    """Write each image as a FITS file and gzip it; equal images give equal bytes."""
    files = []
    for image in images.astype(">f4"):
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        files.append(packer.compress(_HEADER + image.tobytes() + _PADDING) + packer.flush())
    return files


def _profile(width: Floats, offset: Floats) -> Stamps:
    """Give round Gaussians of unit flux."""
    axis = np.arange(SIDE, dtype=np.float32) - np.float32(SIDE // 2)
    narrow = (0.5 / width**2).astype(np.float32)[:, None]
    x = np.exp(-narrow * (axis[None, :] - offset[0].astype(np.float32)[:, None]) ** 2)
    y = np.exp(-narrow * (axis[None, :] - offset[1].astype(np.float32)[:, None]) ** 2)
    peak = (1.0 / (2.0 * np.pi * width**2)).astype(np.float32)
    return np.asarray(peak[:, None, None] * y[:, :, None] * x[:, None, :])


def _spikes(rng: np.random.Generator, count: int) -> Stamps:
    """Give artefacts of unit flux: a short row of pixels."""
    images = np.zeros((count, SIDE, SIDE), np.float32)
    middle = SIDE // 2
    lengths = rng.integers(1, 4, count)
    for image, length in zip(images, lengths, strict=True):
        image[middle, middle : middle + length] = 1.0 / length
    return images
