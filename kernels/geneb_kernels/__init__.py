"""Numerical operations close to the hardware: each a folder with its plain XLA reference and one API."""
