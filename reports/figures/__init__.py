"""Figures from stored runs, as PDF and PNG with a caption beside each; `making.write` is the way
in.

`source` narrows runs to what one figure may show, `style` is what all figures share, and every
other module draws one of them: its `draw` returns a matplotlib figure with its caption, or raises
`Unavailable` with the reason in one line.
"""
