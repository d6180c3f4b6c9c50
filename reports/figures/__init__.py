"""Figures from stored runs, as PDF and PNG with a caption beside each; `figure_set.write_figures`
is the way in.

`figure_data` narrows runs to what one figure may show, `style` is what all figures share, and every
other module draws one of them: `draw_crops_figure`, say, returns a matplotlib figure with its
caption, or raises `Unavailable` with the reason in one line.
"""
