"""Make sure that the model of the current settings is in the cache; returns at once when it is."""

import argparse
import sys

from services.common.packages import PackageUnavailableError
from services.recommendation.model import ModelMissingError, Recommender
from services.recommendation.settings import RecommendationSection, Settings
from services.recommendation.tables import DataError
from services.recommendation.train import model_folder, train


def prepare(section: RecommendationSection) -> None:
    folder = model_folder(section)
    try:
        scores = Recommender.load(folder).metadata["scores"]["model"]
    except ModelMissingError:
        train(section)
    else:
        print(f"ready already: {folder} (recall@10 {scores['recall']:.4f}, NDCG@10 {scores['ndcg']:.4f})", flush=True)


def main() -> int:
    argparse.ArgumentParser(prog="python -m services.recommendation.prepare", description=__doc__).parse_args()
    try:
        prepare(Settings().recommendation)
    except (DataError, PackageUnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
