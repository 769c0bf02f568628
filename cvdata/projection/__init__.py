"""A map of the embeddings: each image a point, what looks alike side by side."""

from cvdata.projection.layout import Layout, Layouting, lay_out

__all__ = ["Layout", "Layouting", "lay_out"]
