"""Which files of a folder belong together: sub-folders by role, and scenes by sub-folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from benchmark.api import DataError, DatasetCard
from benchmark.datasets.layout import (
    SampleFiles,
    build_entries,
    describe_positions,
    find_folder,
    list_files,
    missing_dataset_error,
    names_agree,
    number_in_name,
    pair_files,
)
from benchmark.files import PICTURE_SUFFIXES
from benchmark.left_out import (
    UNREADABLE_SUFFIXES,
    describe_left_out,
    holds_pictures,
    iterate_folders,
    list_folders,
)

FolderPairing = Literal["auto", "name", "order", "number"]

_INPUT, _TARGET = "input", "target"
_VIEWS = ("left", "right")
_ROLES = ("image", *_VIEWS, "target")
"""In the order in which they lead: samples are called by the first that is there."""
_SceneFiles = dict[str, list[Path]]
"""Scene -> its pictures; a scene is called by its path, and "" is the folder of all scenes."""


@dataclass(frozen=True, slots=True)
class FolderReader:
    """Finds the samples of a folder.

    Attributes:
        card: of the data set, for messages.
        input, target: names of the sub-folders of defocused and of all-in-focus pictures.
        pair: how files of a sample are told from those of others; "number" is by the last number
            in their names.
        needs_views: the views must be there, and then the defocused pictures need not.
    """

    card: DatasetCard
    input: str
    target: str
    pair: FolderPairing
    needs_views: bool

    def read_flat(self, folder: Path) -> dict[str, SampleFiles]:
        """Return sample id -> files of a folder without scenes.

        Raises:
            DataError: as `Folder` says.
        """
        columns = {role: list_files(path) for role, path in self._find_roles(folder).items()}
        leading_role = next(iter(columns))
        images = columns.pop(leading_role)
        if not images:
            raise missing_dataset_error(self.card, folder, "no pictures")
        partners = {role: self._pair(images, files) for role, files in columns.items()}
        return build_entries({leading_role: images} | partners)

    def read_nested(self, folder: Path) -> dict[str, SampleFiles]:
        """Return sample id -> files of a folder whose sub-folders are scenes.

        Raises:
            DataError: as `Folder` says.
        """
        if not folder.is_dir():
            raise missing_dataset_error(self.card, folder, "no such folder")
        scenes: dict[str, dict[str, SampleFiles]] = {}
        for path in self._find_scene_folders(folder):
            for scene, entries in self._read_scenes(path).items():
                scenes[f"{path.name}/{scene}".rstrip("/")] = entries
        return _join_scenes(scenes or self._read_scenes(folder))

    def _read_scenes(self, folder: Path) -> dict[str, dict[str, SampleFiles]]:
        """Return scene -> sample id -> files of a folder with sub-folders by role, or of images."""
        roles = self._find_roles(folder)
        _refuse_unreadable(roles.values())
        trees = {role: _list_scene_files(path) for role, path in roles.items()}
        leading_role = next(iter(trees))
        scenes = trees.pop(leading_role)
        if not scenes:
            raise missing_dataset_error(self.card, folder, "no pictures")
        columns = self._pair_scenes(scenes, trees)
        return {
            scene: build_entries({leading_role: images} | columns[scene])
            for scene, images in scenes.items()
        }

    # Folders

    def _find_roles(self, folder: Path) -> dict[str, Path]:
        """Return role -> its sub-folder; a folder without any holds the images itself."""
        if not folder.is_dir():
            raise missing_dataset_error(self.card, folder, "no such folder")
        names = {"image": self.input, "target": self.target, "left": "left", "right": "right"}
        roles = {role: path for role in _ROLES if (path := find_folder(folder, names[role]))}
        for role, usual_name in (("image", _INPUT), ("target", _TARGET)):
            if role not in roles and names[role] != usual_name:
                raise missing_dataset_error(self.card, folder, f"no folder {names[role]}")
        if "image" not in roles and not self.needs_views:
            return {"image": folder}
        self._check_views(folder, [view for view in _VIEWS if view in roles])
        return roles

    def _check_views(self, folder: Path, views: Sequence[str]) -> None:
        if len(views) == 1:
            raise missing_dataset_error(self.card, folder, "only one of left/ and right/")
        if self.needs_views and not views:
            raise missing_dataset_error(self.card, folder, "no folders left/ and right/")

    def _find_scene_folders(self, folder: Path) -> list[Path]:
        """Return the sub-folders that have sub-folders by role; none where `folder` has them."""
        leading_names = [self.input, *(_VIEWS if self.needs_views else ())]
        if find_folder(folder, *leading_names):
            return []
        folders = list_folders(folder)
        scenes = [path for path in folders if find_folder(path, *leading_names)]
        if not scenes and find_folder(folder, self.target):
            raise missing_dataset_error(
                self.card, folder, f"has a folder {self.target}, but no folder {self.input}"
            )
        for path in folders:
            if scenes and path not in scenes and _list_scene_files(path):
                raise DataError(
                    f"{path}: has pictures, but no folder {leading_names[0]} as {scenes[0]} has; "
                    "sort them in, or move them away"
                )
        return scenes

    # Pairs

    def _pair(self, images: Sequence[Path], partners: Sequence[Path]) -> list[Path]:
        if self.pair == "number":
            return pair_files(images, partners, "name", key=number_in_name)
        return pair_files(images, partners, self.pair)

    def _pair_scenes(
        self, scenes: _SceneFiles, trees: Mapping[str, _SceneFiles]
    ) -> dict[str, dict[str, list[Path]]]:
        """Return scene -> role -> the partner of each of its images."""
        scene_targets = _take_scene_targets(trees.get("target", {}), scenes)
        columns: dict[str, dict[str, list[Path]]] = {scene: {} for scene in scenes}
        for role, tree in trees.items():
            _refuse_other_scenes(tree, scenes)
            for scene, images in scenes.items():
                if role == "target" and scene in scene_targets:
                    columns[scene][role] = [scene_targets[scene]] * len(images)
                else:
                    partners = _files_of_scene(tree, scene, role, images)
                    columns[scene][role] = self._pair(images, partners)
        return columns

    # Remarks

    def list_remarks(self, folder: Path, entries: Mapping[str, SampleFiles]) -> list[str]:
        """Return what of a folder takes no part, and what was assumed of its files, a line each.

        Args:
            folder: what was read.
            entries: sample id -> its files.
        """
        return [*self._list_left_out(folder, entries), *self._list_positions(entries)]

    def _list_left_out(self, folder: Path, entries: Mapping[str, SampleFiles]) -> list[str]:
        files = {path for entry in entries.values() for path in entry.files.values()}
        file_folders = {path.parent for path in files}
        parents = {parent for path in file_folders for parent in path.parents}
        folders_in_use = file_folders | parents
        reasons: dict[str, list[Path]] = {}
        outside: list[Path] = []
        for place in file_folders | {path for path in parents if path.is_relative_to(folder)}:
            unused_folders = [
                path
                for path in list_folders(place)
                if path not in folders_in_use and holds_pictures(path)
            ]
            reasons.setdefault(self._explain_folders(place, folder), []).extend(unused_folders)
            if place not in file_folders:
                outside += list_files(place, (*PICTURE_SUFFIXES, *UNREADABLE_SUFFIXES))
        lines = [
            describe_left_out(file_folders, reason, paths, counts=True)
            for reason, paths in sorted(reasons.items())
            if paths
        ]
        if outside:
            lines.append(
                describe_left_out(file_folders, "beside the folders that are read", outside)
            )
        return [*lines, *self._point_to_target(folder, entries)]

    def _explain_folders(self, place: Path, folder: Path) -> str:
        """Return why sub-folders of a place take no part."""
        if find_folder(place, self.input, *_VIEWS):
            names = dict.fromkeys((self.input, self.target, *_VIEWS))
            return f"not called {', '.join(names)} (input= and target= give other names)"
        if place == folder:
            return f"in sub-folders (nested=true reads scenes; pairs need a folder {self.input})"
        return "in sub-folders (nested=true reads scenes)"

    def _point_to_target(self, folder: Path, entries: Mapping[str, SampleFiles]) -> list[str]:
        """Return a line if targets lie beside the folder that was named."""
        has_target = any("target" in entry.files for entry in entries.values())
        parent = folder.absolute().parent
        target = find_folder(parent, self.target)
        if has_target or target is None or find_folder(parent, self.input, *_VIEWS) is None:
            return []
        if target.resolve() == folder.resolve():
            return []
        return [f"no targets, but {target} lies beside it; path={parent} reads pairs"]

    def _list_positions(self, entries: Mapping[str, SampleFiles]) -> list[str]:
        """Return a line for each role whose files were paired by their position without being
        asked for, as no two names of a scene agree.
        """
        if self.pair != "auto":
            return []
        remarks = []
        for role in _ROLES:
            pairs_by_scene: dict[str, list[tuple[Path, Path]]] = {}
            for entry in entries.values():
                image = _leading_file(entry)
                partner = entry.files.get(role, image)
                if partner != image and not _is_for_scene(partner, entry.scene):
                    pairs_by_scene.setdefault(entry.scene, []).append((image, partner))
            scenes = [pairs for pairs in pairs_by_scene.values() if not names_agree(pairs)]
            remarks += [
                f"{line}; if that is wrong, use pair=number or rename them"
                for line in describe_positions(role, list(chain.from_iterable(scenes)))
            ]
        return remarks


def _leading_file(entry: SampleFiles) -> Path:
    """Return the file that a sample is called by."""
    return next(entry.files[role] for role in _ROLES if role in entry.files)


def _is_for_scene(path: Path, scene: str) -> bool:
    """Return whether a target stands for a whole scene: it lies where the scene's folder would."""
    name = scene.rpartition("/")[2]
    is_named_so = _is_called(path, name) or _begins_with(path, name)
    return bool(name) and is_named_so and path.parent.name != name


def _list_scene_files(folder: Path) -> _SceneFiles:
    """Return the pictures of a folder and of all folders below it."""
    files = {place: list_files(place) for place in iterate_folders(folder)}
    return {
        place.relative_to(folder).as_posix().removeprefix("."): pictures
        for place, pictures in files.items()
        if pictures
    }


def _refuse_unreadable(folders: Iterable[Path]) -> None:
    """Raise DataError for pictures that would be left out because of their format."""
    places = chain.from_iterable(iterate_folders(folder) for folder in folders)
    pictures = [path for place in places for path in list_files(place, UNREADABLE_SUFFIXES)]
    if pictures:
        raise DataError(
            f"{pictures[0]}: is of a format that is not read, the first of {len(pictures)} such "
            "files; convert them to PNG or TIFF, or move them away"
        )


def _take_scene_targets(targets: _SceneFiles, scenes: Iterable[str]) -> dict[str, Path]:
    """Take the targets that stand for a whole scene out of `targets`, and return them by scene.

    Such a target lies where the scene's folder would be. It is called like the scene, or begins
    with its name and an underscore.
    """
    targets_by_scene: dict[str, Path] = {}
    lonely_scenes = [scene for scene in scenes if scene and scene not in targets]
    for is_named_after in (_is_called, _begins_with):
        for scene in lonely_scenes:
            if scene not in targets_by_scene:
                _take_scene_target(scene, targets, targets_by_scene, is_named_after)
    return targets_by_scene


def _take_scene_target(
    scene: str,
    targets: _SceneFiles,
    targets_by_scene: dict[str, Path],
    is_named_after: Callable[[Path, str], bool],
) -> None:
    folder, _, name = scene.rpartition("/")
    candidates = [path for path in targets.get(folder, []) if is_named_after(path, name)]
    if len(candidates) > 1:
        raise DataError(
            f"{candidates[1]}: stands for the same scene as {candidates[0].name}; remove one of "
            f"them, or put them into a folder {name}"
        )
    if candidates:
        targets_by_scene[scene] = candidates[0]
        targets[folder].remove(candidates[0])


def _is_called(path: Path, name: str) -> bool:
    return path.stem == name


def _begins_with(path: Path, name: str) -> bool:
    return path.stem.startswith(f"{name}_")


def _files_of_scene(tree: _SceneFiles, scene: str, role: str, images: Sequence[Path]) -> list[Path]:
    """Return the files of a scene in the tree of a role."""
    if not tree.get(scene):
        place = f"scene {scene}" if scene else "pictures outside of scenes"
        raise DataError(f"{images[0]}: there is no {role} for {place}; restore it")
    return tree[scene]


def _refuse_other_scenes(files: _SceneFiles, scenes: Iterable[str]) -> None:
    for scene, paths in files.items():
        if paths and scene not in scenes:
            raise DataError(f"{paths[0]}: belongs to no input; restore the input, or remove it")


def _join_scenes(scenes: Mapping[str, Mapping[str, SampleFiles]]) -> dict[str, SampleFiles]:
    """Return sample id -> files, with ids that begin with the scene; a picture outside of all
    folders is a scene of its own.
    """
    return {
        f"{scene}/{name}".lstrip("/"): replace(entry, scene=scene)
        for scene, entries in scenes.items()
        for name, entry in entries.items()
    }
