"""What the script of the comparison page reads: the pictures of galleries, and the scores
of levels of sheets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.reports.page.galleries import Gallery, OutputPicture, PageContent, SheetLevel
from benchmark.reports.page.pictures import MapOverlay, PageFiles, quote_path


def build_payload(page: PageContent, files: PageFiles, folder: str) -> dict[str, Any]:
    """Return galleries and levels of sheets, ready for JSON, in the order of the tables, URLs
    relative to `folder`.
    """
    return {
        "folder": f"{folder}/",
        "thumbnails": files.thumbnails,
        "galleries": [_gallery_payload(gallery, files) for gallery in page.galleries],
        "views": [
            _level_payload(sheet_level, page.galleries[sheet_level.gallery], sheet.summary.measures)
            for sheet in page.sheets
            for sheet_level in sheet.levels
        ],
    }


def _gallery_payload(gallery: Gallery, files: PageFiles) -> dict[str, Any]:
    maps = files.maps.get((gallery.dataset, gallery.track), {})
    scenes: dict[str, list[int]] = {}
    for number, sample in enumerate(gallery.samples):
        scenes.setdefault(gallery.scenes[sample], []).append(number)
    return {
        "dataset": gallery.dataset,
        "methods": gallery.methods,
        "unit": "pictures" if len(scenes) == len(gallery.samples) else "scenes",
        "scenes": list(scenes.values()),
        "samples": [
            {
                "name": sample,
                "target": files.url(gallery.targets[sample]),
                "map": _map_payload(maps.get(sample)),
            }
            for sample in gallery.samples
        ],
        "cells": [
            [
                _cell_payload(gallery.outputs.get((method, sample)), files)
                for sample in gallery.samples
            ]
            for method in gallery.methods
        ],
    }


def _map_payload(overlay: MapOverlay | None) -> dict[str, Any] | None:
    return (
        None
        if overlay is None
        else {"picture": quote_path(overlay.path), "top": round(overlay.top, 2)}
    )


def _cell_payload(output: OutputPicture | None, files: PageFiles) -> dict[str, Any] | None:
    if output is None:
        return None
    return {"picture": files.url(output.picture), "why": output.failure}


def _level_payload(
    sheet_level: SheetLevel, gallery: Gallery, measures: Mapping[str, MeasureCard]
) -> dict[str, Any]:
    """Return a level of a sheet as the script reads it, scores in the order of the gallery's
    samples.
    """
    shared = sheet_level.shared
    return {
        "gallery": sheet_level.gallery,
        "measures": [
            {
                "title": card.title,
                "unit": card.unit,
                "higher": card.higher_is_better,
                "ideal": card.ideal,
                "ranked": not card.warning,
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
                        _round_score(sheet_level.scores.get((row.method, measure, sample)), card)
                        for sample in gallery.samples
                    ]
                    for measure, card in measures.items()
                ],
            }
            for row in sheet_level.rows
        ],
    }


def _round_score(value: float | None, card: MeasureCard) -> float | None:
    """Return a score with three digits more than are printed, so that differences are right to the
    printed digit.
    """
    return None if value is None else round(value, card.digits + 3)
