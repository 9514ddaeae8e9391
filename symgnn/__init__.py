"""Energy barriers of metallic glasses, from melt-quench to explained predictions."""

__version__ = "0.1.0"
