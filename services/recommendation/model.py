"""The trained recommender: scores a history, ranks, and travels to disk as plain arrays and JSON."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from services.recommendation.data import Interactions, Ints
from services.recommendation.fit import decayed, fit
from services.recommendation.settings import TrainingSection

Scores = npt.NDArray[np.float32]
FORMAT = 1


class ModelMissingError(RuntimeError):
    """There is no trained model where the settings say; the message tells how to make one."""


@dataclass(frozen=True)
class Recommender:
    """`weights` is 2 x items x items; `popularity` is each item's share of users; `histories` maps users to indices."""

    items: list[str]
    titles: dict[str, str]
    weights: Scores
    popularity: Scores
    histories: dict[str, Ints]
    training: TrainingSection
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def fitted(cls, data: Interactions, training: TrainingSection) -> Self:
        users = max(1, len(data.sequences))
        counts = np.bincount(np.concatenate(data.sequences), minlength=len(data.items))
        return cls(
            items=data.items,
            titles=data.titles,
            weights=fit(data.sequences, len(data.items), training),
            popularity=(counts / users).astype(np.float32),
            histories=dict(zip(data.users, data.sequences, strict=True)),
            training=training,
        )

    def scores(self, history: Ints) -> Scores:
        """One score per item from a history, oldest first. A row of its own per history: the size and the
        neighbours of a batch can't change a bit of it."""
        knobs = self.training
        old, long = decayed(history, knobs.long_memory, knobs.long_decay)
        new, short = decayed(history, knobs.short_memory, knobs.short_decay)
        scored: Scores = long @ self.weights[0][old] + short @ self.weights[1][new]
        return scored

    def save(self, folder: Path) -> None:
        """Write beside `folder` and rename, so that a reader finds all of it or nothing."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            made = Path(scratch) / "model"
            made.mkdir()
            self._write(made)
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            made.rename(folder)

    def _write(self, folder: Path) -> None:
        lengths = [len(history) for history in self.histories.values()]
        flat = np.concatenate(list(self.histories.values())).astype(np.int32)
        np.savez(
            folder / "model.npz", weights=self.weights, popularity=self.popularity, lengths=lengths, histories=flat
        )
        catalogue = {"items": self.items, "titles": self.titles, "users": list(self.histories)}
        (folder / "catalogue.json").write_text(json.dumps(catalogue), encoding="utf-8")
        about = {"format": FORMAT, "training": self.training.model_dump(), **self.metadata}
        (folder / "metadata.json").write_text(json.dumps(about, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises ModelMissingError when `folder` holds no model, or one of another format."""
        if not (folder / "metadata.json").is_file():
            raise ModelMissingError(f"no trained model in {folder}; run: python -m services.recommendation.prepare")
        about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ModelMissingError(f"{folder} has format {about['format']}, expected {FORMAT}; train it again")
        catalogue = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
        with np.load(folder / "model.npz", allow_pickle=False) as arrays:
            histories = np.split(arrays["histories"].astype(np.int64), np.cumsum(arrays["lengths"])[:-1])
            weights, popularity = arrays["weights"], arrays["popularity"]
        return cls(
            items=catalogue["items"],
            titles=catalogue["titles"],
            weights=weights,
            popularity=popularity,
            histories=dict(zip(catalogue["users"], histories, strict=True)),
            training=TrainingSection(**about["training"]),
            metadata=about,
        )


def top(scores: Scores, k: int, excluded: Sequence[int] | Ints = ()) -> Ints:
    """Indices of the k best items, best first, without the excluded; equal scores in catalogue order."""
    open_scores = scores.astype(np.float32, copy=True)
    open_scores[np.asarray(excluded, dtype=np.int64)] = -np.inf
    k = min(k, int(np.isfinite(open_scores).sum()))
    if k == 0:
        return np.empty(0, dtype=np.int64)
    worst = np.partition(open_scores, -k)[-k]
    candidates = np.flatnonzero(open_scores >= worst)
    return candidates[np.argsort(-open_scores[candidates], kind="stable")[:k]]
