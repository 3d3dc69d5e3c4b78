"""Tensors made, compared, summarized and kept."""
