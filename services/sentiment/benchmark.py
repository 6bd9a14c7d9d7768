"""Texts a second on one core, by batch size: `python -m services.sentiment.benchmark [--texts 256]`.

Divides by processor time, so that other programs on the machine do not count; run it with OPENBLAS_NUM_THREADS=1.
"""

import argparse
import sys
import time

from services.sentiment.data import english
from services.sentiment.model import SentimentModel

_BATCHES = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=256, help="held-out English sentences to classify")
    count = parser.parse_args().texts
    _, held_out = english()
    texts = held_out.texts[:: max(1, len(held_out) // count)][:count]
    model = SentimentModel.load()
    model(texts[:8])
    for size in _BATCHES:
        sys.stdout.write(f"batches of {size}: {_rate(model, texts, size):.0f} texts a second\n")


def _rate(model: SentimentModel, texts: list[str], size: int) -> float:
    begun = time.process_time()
    for start in range(0, len(texts), size):
        model(texts[start : start + size])
    return len(texts) / (time.process_time() - begun)


if __name__ == "__main__":
    main()
