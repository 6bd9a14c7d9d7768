"""Train the recommender, score it against popularity on held-out items, and store it with its scores."""

import argparse
import hashlib
import itertools
import json
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from services.common.packages import PackageUnavailableError
from services.common.paths import cache_dir
from services.recommendation.data import LICENCE, MOVIELENS, Interactions, fingerprint, load
from services.recommendation.evaluate import SPLIT, Quality, Split, hold_out, quality
from services.recommendation.model import FORMAT, Recommender
from services.recommendation.settings import RecommendationSection, Settings, TrainingSection
from services.recommendation.tables import DataError

_GRID = {"next_weight": (0.7, 1.0, 1.5), "long_decay": (0.9, 0.95), "next_ridge": (0.5, 1.0, 2.0)}


def model_folder(section: RecommendationSection) -> Path:
    """Where the model of these settings belongs: the name holds a hash of the data and of every training knob."""
    if section.model_path is not None:
        return section.model_path
    told = [FORMAT, fingerprint(section.data), section.data.model_dump(mode="json"), section.training.model_dump()]
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    return cache_dir() / "models" / "recommendation" / f"{section.version}-{key}"


def train(section: RecommendationSection) -> Recommender:
    """Score on the held-out last items, then fit on everything: the stored model has seen those items as well."""
    started = time.monotonic()
    data = _loaded(section)
    print("fitting without the last items, to score them ...", flush=True)
    baseline, ours = _compare(hold_out(data, back=1), section.training)
    print(_table({"popularity": baseline, "model": ours}), flush=True)
    if not ours.users:
        print("no user has 3 interactions: nothing could be scored, the zeros mean nothing", flush=True)
    print("fitting on everything ...", flush=True)
    model = replace(Recommender.fitted(data, section.training), metadata=_metadata(section, data, baseline, ours))
    folder = model_folder(section)
    model.save(folder)
    print(f"stored in {folder} after {time.monotonic() - started:.1f} s", flush=True)
    return model


def tune(section: RecommendationSection) -> None:
    """Print the validation scores (second-to-last items; the last ones stay unseen) of a small grid and the best."""
    split = hold_out(_loaded(section), back=2)
    tried: dict[str, Quality] = {}
    for values in itertools.product(*_GRID.values()):
        knobs = dict(zip(_GRID, values, strict=True))
        label = " ".join(f"NARU_RECOMMENDATION__TRAINING__{name.upper()}={value}" for name, value in knobs.items())
        tried[label] = _compare(split, section.training.model_copy(update=knobs))[1]
        print(f"recall@10 {tried[label].recall:.4f}  NDCG@10 {tried[label].ndcg:.4f}  {knobs}", flush=True)
    print(f"best on the validation items by NDCG@10: {max(tried, key=lambda label: tried[label].ndcg)}")


def _loaded(section: RecommendationSection) -> Interactions:
    if section.data.source == MOVIELENS:
        print(LICENCE, flush=True)
    print(f"reading {section.data.source} ...", flush=True)
    data = load(section.data, section.training.max_items)
    print(f"{data.count} interactions, {len(data.users)} users, {len(data.items)} items", flush=True)
    return data


def _compare(split: Split, training: TrainingSection) -> tuple[Quality, Quality]:
    model = Recommender.fitted(split.train, training)
    baseline = quality(lambda _: model.popularity, split.histories, split.targets)
    return baseline, quality(model.scores, split.histories, split.targets)


def _table(rows: dict[str, Quality]) -> str:
    lines = [f"{SPLIT}:", f"{'':12}{'recall@10':>10}{'NDCG@10':>10}{'users':>8}"]
    lines += [f"{name:12}{row.recall:10.4f}{row.ndcg:10.4f}{row.users:8d}" for name, row in rows.items()]
    return "\n".join(lines)


def _metadata(
    section: RecommendationSection, data: Interactions, baseline: Quality, ours: Quality
) -> dict[str, object]:
    return {
        "version": section.version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            **section.data.model_dump(mode="json"),
            "sha256": fingerprint(section.data),
            "licence": LICENCE if section.data.source == MOVIELENS else "as the owner of the source states",
            "interactions": data.count, "users": len(data.users), "items": len(data.items),
        },
        "split": SPLIT,
        "ties": f"interactions of the same time are ordered by {section.data.ties}",
        "scores": {"popularity": asdict(baseline), "model": asdict(ours)},
        "fitted_on": "all interactions, the held-out ones included, after scoring",
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.recommendation.train", description=__doc__)
    parser.add_argument("--tune", action="store_true", help="only print validation scores of a small grid of knobs")
    arguments = parser.parse_args()
    section = Settings().recommendation
    try:
        if arguments.tune:
            tune(section)
        else:
            train(section)
    except (DataError, PackageUnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
