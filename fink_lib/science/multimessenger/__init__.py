"""Alerts beside gamma-ray bursts, neutrinos and gravitational waves: notices, regions on the sky, coincidences."""
