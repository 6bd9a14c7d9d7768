"""Task services as the real ones answer, scripted; and a registry with two versions of one of them."""

from typing import Any

from tests.support.engine import Received, Wire

CLASSES = ("negative", "neutral", "positive")


async def sentiment(request: Received, wire: Wire) -> None:
    """Every text's label is positive if it has the word 'good' in it, else negative."""
    results = []
    for text in request.json["input"]:
        scores = (0.1, 0.15, 0.75) if "good" in text else (0.7, 0.2, 0.1)
        best = max(zip(scores, CLASSES, strict=True))
        results.append({"label": best[1], "score": best[0], "scores": dict(zip(CLASSES, scores, strict=True))})
    await wire.whole(200, {"model": "sentiment", "version": "v1", "results": results})


async def recommendation(request: Received, wire: Wire) -> None:
    """Items are named after who asks: `196-0`, `196-1`, …; the user `new` gets one only."""
    asked = request.json
    who = asked.get("user_id", "history")
    count = 1 if who == "new" else asked["k"]
    items = [{"id": f"{who}-{i}", "title": "A film", "score": 1 / (1 + i)} for i in range(count)]
    strategy = "personalised" if "user_id" in asked else "history"
    answer = {"model": "recommendation", "version": "v1", "strategy": strategy, "items": items, "unknown_items": []}
    await wire.whole(200, answer)


def registry(first: str, second: str, recommender: str, llm: str) -> dict[str, Any]:
    """Sentiment in the versions v1 and v2, all traffic to v1; a recommender; a language model."""
    versions = {"v1": {"endpoints": [first], "weight": 100}, "v2": {"endpoints": [second], "weight": 0}}
    return {
        "models": {
            "sentiment": {"task": "sentiment", "versions": versions},
            "recommendation": {"task": "recommendation", "versions": {"v1": {"endpoints": [recommender]}}},
            "m": {"task": "chat", "versions": {"v1": {"endpoints": [llm]}}},
        }
    }
