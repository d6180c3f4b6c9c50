"""Blur-map estimation followed by non-blind deconvolution."""
