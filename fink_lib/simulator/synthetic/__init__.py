"""A synthetic ZTF-like night: sky, cadence, light curves, images, packets, and the catalogues of that sky."""

from fink_lib.simulator.synthetic.night import DEFAULT_NIGHT, SyntheticNight
from fink_lib.simulator.synthetic.snapshots import write_snapshots

__all__ = ["DEFAULT_NIGHT", "SyntheticNight", "write_snapshots"]
