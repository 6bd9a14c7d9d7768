"""Whether a canary answers a labelled probe set as well as the version before it: a test of paired answers.

The same probes go to both versions, so only those that one of them has right and the other wrong tell anything: under
equal quality each of the two is as likely (McNemar's test, in its exact form).
"""

from collections.abc import Sequence

from services.rollout.bounds import as_many, exact
from services.rollout.verdict import Finding, Ruling


def compare(stable: Sequence[bool], canary: Sequence[bool], margin: float, confidence: float) -> Finding:
    """`margin`: the loss of accuracy, of 1, that is tolerated at worst. The sequences are as long as each other."""
    count = len(stable)
    lost = sum(was and not now for was, now in zip(stable, canary, strict=True))
    won = sum(now and not was for was, now in zip(stable, canary, strict=True))
    chance = as_many(lost, lost + won, 0.5)
    each = (1 + confidence) / 2
    loss = exact(lost, count, each).high - exact(won, count, each).low
    seen = (
        f"accuracy on {count} probes: {sum(canary) / count:.1%}, the version before {sum(stable) / count:.1%}; "
        f"{lost} lost, {won} won"
    )
    if lost > won and chance <= 1 - confidence:
        return Finding("accuracy", Ruling.BAD, f"{seen}: worse (p = {chance:.2g})")
    if loss <= margin:
        return Finding("accuracy", Ruling.GOOD, f"{seen}: at most {loss:.1%} lost (limit {margin:.1%})")
    words = f"{seen}: up to {loss:.1%} may be lost (limit {margin:.1%}); more probes would tell"
    return Finding("accuracy", Ruling.UNDECIDED, words)
