"""What the script of the comparison page reads: the pictures of galleries, and the scores
of views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports.page.galleries import Gallery, Kept, Shown, View
from benchmark.reports.page.pictures import MapOverlay, PageFiles, quote_path


def content(shown: Shown, files: PageFiles, folder: str) -> dict[str, Any]:
    """Return galleries and views, ready for JSON; views in the order of the tables, URLs relative
    to `folder`.
    """
    return {
        "folder": f"{folder}/",
        "galleries": [_gallery(gallery, files) for gallery in shown.galleries],
        "views": [
            _view(view, shown.galleries[view.gallery], sheet.summary.measures)
            for sheet in shown.sheets
            for view in sheet.views
        ],
    }


def _gallery(gallery: Gallery, files: PageFiles) -> dict[str, Any]:
    maps = files.maps.get((gallery.dataset, gallery.track), {})
    return {
        "methods": gallery.methods,
        "samples": [
            {
                "name": sample,
                "target": files.url(gallery.targets[sample]),
                "map": _map(maps.get(sample)),
            }
            for sample in gallery.samples
        ],
        "cells": [
            [_cell(gallery.kept.get((method, sample)), files) for sample in gallery.samples]
            for method in gallery.methods
        ],
    }


def _map(overlay: MapOverlay | None) -> dict[str, Any] | None:
    return (
        None
        if overlay is None
        else {"picture": quote_path(overlay.path), "top": round(overlay.top, 2)}
    )


def _cell(kept: Kept | None, files: PageFiles) -> dict[str, Any] | None:
    return None if kept is None else {"picture": files.url(kept.picture), "why": kept.why}


def _view(view: View, gallery: Gallery, measures: Mapping[str, MeasureCard]) -> dict[str, Any]:
    """Return a view as the script reads it, scores in the order of the gallery's samples."""
    shared = view.shared
    return {
        "gallery": view.gallery,
        "measures": [
            {
                "title": card.title,
                "unit": card.unit,
                "higher": card.higher_is_better,
                "digits": card.digits,
            }
            for card in measures.values()
        ],
        "shared": [sample in shared for sample in gallery.samples],
        "rows": [
            {
                "method": gallery.methods.index(row.method),
                "notes": [row.entries[measure].note for measure in measures],
                "scores": [
                    [
                        _rounded(view.scores.get((row.method, measure, sample)), card)
                        for sample in gallery.samples
                    ]
                    for measure, card in measures.items()
                ],
            }
            for row in view.rows
        ],
    }


def _rounded(value: float | None, card: MeasureCard) -> float | None:
    """Return a score with three digits more than are printed, so that differences are right to the
    printed digit.
    """
    return None if value is None else round(value, card.digits + 3)
