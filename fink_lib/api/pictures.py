"""From the pixels of a stamp to a picture: stretch, smoothing, colours, PNG.

Rows of the picture are rows of the array, the first one on top, as Fink's API draws it.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float64]
Bytes8 = npt.NDArray[np.uint8]

STRETCHES = ("sigmoid", "linear", "sqrt", "power", "log", "asinh")
KERNELS = ("gauss", "box")
GREY = "grey"

POWER_INDEX = 2.0
LOG_SCALE = 1000.0
ASINH_SCALE = 0.1
"""Parameters of the stretches: those that astropy takes if nobody says otherwise."""


def stretched(image: Image, stretch: str, least_percentile: float, most_percentile: float) -> Image:
    """Bring pixels between 0 and 1.

    Parameters
    ----------
    image : ndarray
        Pixels in any unit; those that are not finite count as the median of the others.
    stretch : str
        One of :data:`STRETCHES`. ``sigmoid`` is 1 / (1 + exp(-z)) of the pixel's deviation from the mean in units of
        the standard deviation, and knows no percentiles.
    least_percentile, most_percentile : float
        Pixels at or below the first become 0, those at or above the second 1 (0 to 100).
    """
    good = np.isfinite(image)
    filled = np.where(good, image, np.median(image[good]) if good.any() else 0.0)
    if stretch == "sigmoid":
        spread = filled.std()
        deviation = (filled - filled.mean()) / spread if spread > 0 else np.zeros_like(filled)
        result: Image = 1 / (1 + np.exp(-deviation))
        return result
    from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, PowerStretch, SqrtStretch

    low, high = np.percentile(filled, [least_percentile, most_percentile])
    scaled = np.clip((filled - low) / (high - low), 0, 1) if high > low else np.zeros_like(filled)
    curves = {
        "linear": LinearStretch(),
        "sqrt": SqrtStretch(),
        "power": PowerStretch(POWER_INDEX),
        "log": LogStretch(LOG_SCALE),
        "asinh": AsinhStretch(ASINH_SCALE),
    }
    return np.asarray(curves[stretch](scaled), dtype=np.float64)


def smoothed(image: Image, kernel: str) -> Image:
    """Convolve with a kernel one pixel wide (standard deviation, or side); the edge is continued outwards."""
    from astropy.convolution import Box2DKernel, Gaussian2DKernel, convolve

    shape = Gaussian2DKernel(1, x_size=5, y_size=5) if kernel == "gauss" else Box2DKernel(1, x_size=5, y_size=5)
    return np.asarray(convolve(image, shape, boundary="extend"), dtype=np.float64)


def colour_maps() -> tuple[str, ...]:
    """Name the colour maps: those of matplotlib."""
    return _colour_maps()


@lru_cache(maxsize=1)
def _colour_maps() -> tuple[str, ...]:
    from matplotlib import colormaps

    return tuple(sorted({GREY, *colormaps}))


def png(image: Image, colour_map: str = GREY) -> bytes:
    """Draw pixels between 0 and 1 as PNG.

    Parameters
    ----------
    image : ndarray
        Shape (height, width).
    colour_map : str
        One of :func:`colour_maps`.
    """
    from PIL import Image as Picture

    pixels: Bytes8
    if colour_map == GREY:
        pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    else:
        from matplotlib import colormaps

        pixels = colormaps[colour_map](np.clip(image, 0, 1), bytes=True)
    sink = io.BytesIO()
    Picture.fromarray(pixels).save(sink, format="PNG")
    return sink.getvalue()
