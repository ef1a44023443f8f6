"""Open medical image archives in, an evaluated and registered visual question answering model out."""

__version__ = "0.1.0"
