"""Large pictures, one overlapping tile at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor


def apply_in_tiles(
    forward: Callable[[Tensor], Tensor], x: Tensor, tile: int, halo: int, multiple: int
) -> Tensor:
    """Return forward(x), computed tile by tile where `x` is larger than a tile.

    A tile is handed over with `halo` more pixels of the picture on every side that has them, and
    only its own pixels are kept. Tiles begin at multiples of `multiple`, so that strided layers see
    the same grid as in the whole picture; the result is then the same, up to rounding, if no output
    depends on anything further away than `halo`.

    Args:
        forward: N x C x H x W -> N x D x H x W.
        x: N x C x H x W, H and W multiples of `multiple`.
        tile: largest side of a tile in pixels; 0 for no tiles. Rounded up to a multiple.
        halo: pixels; rounded up to a multiple.
    """
    height, width = x.shape[-2:]
    if not tile or max(height, width) <= tile:
        return forward(x)
    tile = _round_up(tile, multiple)
    halo = _round_up(halo, multiple)
    result: Tensor | None = None
    for top, bottom in _iterate_tiles(height, tile):
        for left, right in _iterate_tiles(width, tile):
            above = max(0, top - halo)
            before = max(0, left - halo)
            part = forward(x[..., above : bottom + halo, before : right + halo])
            if result is None:
                result = x.new_empty((*part.shape[:-2], height, width))
            rows = slice(top - above, bottom - above)
            columns = slice(left - before, right - before)
            result[..., top:bottom, left:right] = part[..., rows, columns]
    assert result is not None
    return result


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _iterate_tiles(size: int, tile: int) -> Iterator[tuple[int, int]]:
    """Yield where each tile starts and ends along an axis."""
    for start in range(0, size, tile):
        yield start, min(start + tile, size)
