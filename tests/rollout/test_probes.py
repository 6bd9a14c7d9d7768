"""A labelled probe set: the real sentiment head, and one that was made worse on purpose."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.rollout.errors import RefusedError
from services.rollout.probes import read_probes
from services.sentiment.data import english
from services.sentiment.encoder import Encoder
from services.sentiment.head import FOLDER, LABELS, Head
from services.sentiment.weights import packaged
from tests.rollout.conftest import begin
from tests.rollout.world import KEY, Classifier, Gateway
from tests.support.prometheus import needs_prometheus

COUNT = 200


@pytest.fixture(scope="module")
def probes(classifiers: tuple[Classifier, Classifier], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Held-out sentences with their labels; both versions know the real head's answers to them."""
    _, held_out = english()
    chosen = np.argsort([len(text) for text in held_out.texts], kind="stable")[: 3 * COUNT : 3]
    texts, labels = [held_out.texts[index] for index in chosen], held_out.labels[chosen]
    head = Head.load(FOLDER)
    embeddings = Encoder.load(packaged(), head.layers)(texts)
    weaker = {script: replace(linear, embedding=0.7 * linear.embedding) for script, linear in head.by_script.items()}
    for classifier, used in zip(classifiers, (head, replace(head, by_script=weaker)), strict=True):
        classifier.rows.update(zip(texts, used.probabilities(texts, embeddings).tolist(), strict=True))
    lines = [json.dumps({"input": text, "label": LABELS[label]}) for text, label in zip(texts, labels, strict=True)]
    path = tmp_path_factory.mktemp("probes") / "probes.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.timeout(300)
@needs_prometheus
def test_a_canary_that_answers_worse_gets_no_traffic(gateway: Gateway, common: list[str], probes: Path) -> None:
    asked = ("--probes", str(probes), "--gateway", gateway.url, "--api-key", KEY)
    found = begin("feelings", common, *asked).wait()
    assert (found["outcome"], found["code"], found["steps"]) == ("rolled_back", 3, []), found["log"]
    assert found["reason"].startswith(f"before any traffic: accuracy on {COUNT} probes: ")
    assert "worse (p = " in found["reason"]
    assert gateway.weights("feelings") == {"v1": 100, "v2": 0}


@pytest.mark.timeout(300)
@needs_prometheus
def test_a_canary_that_answers_as_well_goes_on_and_too_few_probes_hold_it(
    gateway: Gateway, common: list[str], classifiers: tuple[Classifier, Classifier], probes: Path, tmp_path: Path
) -> None:
    old, new = classifiers
    new.rows.update(old.rows)
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(probes.read_text().splitlines()[:20]))
    asked = ("--gateway", gateway.url, "--api-key", KEY, "--patience", "1s")
    found = begin("feelings", common, *asked, "--probes", str(few)).wait()
    assert (found["outcome"], found["steps"]) == ("held", []), found["log"]
    assert "more probes would tell" in found["reason"]
    found = begin("feelings", common, *asked, "--probes", str(probes)).wait()
    assert (found["outcome"], len(found["steps"])) == ("held", 1), found["log"]  # nobody asks it but the probes
    assert "0 lost, 0 won: at most 1.8% lost" in found["quality"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"input": "fine"}', "line 2: Value error, give input and label"),
        ('{"input": "fine", "lable": "positive"}', "line 2: Extra inputs are not permitted"),
        ('{"prompt": "?", "expect": "!"}', "line 2: a probe for chat, but the model does sentiment"),
        ("not JSON", "line 2: Invalid JSON"),
    ],
)
def test_a_probe_that_is_none_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "probes.jsonl"
    path.write_text('{"input": "well", "label": "positive"}\n' + line)
    with pytest.raises(RefusedError, match="probes.jsonl, " + said.split(",", maxsplit=1)[0]):
        read_probes(path, "sentiment")
