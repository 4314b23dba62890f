"""``python -m fink_lib.cli`` is ``fink``."""

from fink_lib.cli import main

if __name__ == "__main__":  # the application imports every module of its package, this one too
    main()
