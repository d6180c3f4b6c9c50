"""Metrics, and the protocols that say on which pictures and in which form they are computed.

`psnr`, `ssim`, `lpips`, `mae` hold one metric each; `tracks` the input half of a protocol,
`protocols` its ruler, `published_protocols` the protocols themselves.
"""
