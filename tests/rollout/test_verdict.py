"""What a rollout concludes from what was counted."""

import math
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from services.rollout.entry import Slo
from services.rollout.evidence import FAILURES, Evidence, Histogram, evidence
from services.rollout.look import REQUESTS, RETRIES, TTFT, Counter, Look
from services.rollout.plan import Plan, weights_at
from services.rollout.tally import Tally
from services.rollout.verdict import Finding, Ruling, judge, overall

PLAN = Plan(model="m", canary="v2")
GATEWAY = frozenset({("instance", "a:8082")})
SHARES = {GATEWAY: {"v1": 0.5, "v2": 0.5}}


def look(values: Mapping[tuple[str, str, str], float], gateway: frozenset[tuple[str, str]] = GATEWAY) -> Look:
    """By metric, version and what tells its series apart."""
    counters = {Counter(gateway, *key, rest=frozenset()): value for key, value in values.items()}
    return Look(0.0, {gateway: SHARES[GATEWAY]}, {gateway: {"v1": 1, "v2": 1}}, counters)


def counted(**counts: dict[str, int]) -> tuple[Evidence, Evidence]:
    """The canary's evidence and the other version's, from outcomes by version."""
    tally = Tally(look({}))
    tally.add(
        look(
            {(REQUESTS, version, outcome): n for version, outcomes in counts.items() for outcome, n in outcomes.items()}
        )
    )
    return evidence(tally, lambda version: version == "v2"), evidence(tally, lambda version: version == "v1")


def judged(slo: Slo | None = None, next_share: float = 1.0, **counts: dict[str, int]) -> list[Finding]:
    return judge(*counted(**counts), slo or Slo(availability=99.9), PLAN, next_share)


class TestFailures:
    def test_what_the_next_step_may_cost_decides_how_much_must_be_seen(self) -> None:
        assert overall(judged(next_share=0.25, v1={"ok": 900}, v2={"ok": 100})) is Ruling.GOOD
        assert overall(judged(next_share=1.0, v1={"ok": 900}, v2={"ok": 100})) is Ruling.UNDECIDED

    def test_two_percent_are_bad_where_the_others_do_not_fail(self) -> None:
        found = judged(v1={"ok": 2000}, v2={"ok": 490, "upstream_error": 10})
        assert overall(found) is Ruling.BAD
        assert found[0].words.startswith("failed: 10 of 500 (2 %), at least 0.6")

    def test_versions_that_fail_together_are_not_the_canarys_fault(self) -> None:
        both = {"ok": 980, "upstream_error": 20}
        found = judged(v1=both, v2=both)
        assert overall(found) is Ruling.UNDECIDED
        assert "as much elsewhere" in found[0].words

    def test_fewer_requests_than_asked_for_are_no_evidence(self) -> None:
        [found] = judged(v1={"ok": 1000}, v2={"upstream_error": 29})
        assert found.ruling is Ruling.UNDECIDED
        assert found.words == "too little to judge: v2 had 29 requests, 29 of them failed; 30 are asked for"

    def test_nothing_to_compare_with_leaves_the_promise(self) -> None:
        assert overall(judged(v2={"ok": 950, "truncated": 50})) is Ruling.BAD
        assert overall(judged(v2={"ok": 2000})) is Ruling.GOOD

    def test_clients_that_leave_and_engines_that_refuse_count(self) -> None:
        assert overall(judged(v1={"ok": 1000}, v2={"ok": 900, "client_cancelled": 100})) is Ruling.BAD
        assert overall(judged(v1={"ok": 1000}, v2={"ok": 900, "engine_refused": 100})) is Ruling.BAD

    def test_a_gateway_that_stops_is_nobodys_fault(self) -> None:
        assert "draining" not in FAILURES
        assert {"upstream_error", "truncated", "timeout_first_token", "no_healthy_endpoint"} <= FAILURES


class TestTimes:
    def late(self, canary: Histogram, stable: Histogram, slo: Slo) -> Finding:
        made, other = counted(v1={"ok": stable.total}, v2={"ok": canary.total})
        timed = [Evidence(each.requests, each.failed, each.refused, each.given_up, histogram, Histogram({}))
                 for each, histogram in ((made, canary), (other, stable))]  # fmt: skip
        [found] = [
            finding for finding in judge(timed[0], timed[1], slo, PLAN, 1.0) if finding.what.startswith("first token")
        ]
        return found

    def test_later_than_the_objective(self) -> None:
        fast = Histogram({"0.25": 1000, "0.5": 1000, "1": 1000, "+Inf": 1000})
        slow = Histogram({"0.25": 200, "0.5": 400, "1": 500, "+Inf": 500})
        assert self.late(slow, fast, Slo(ttft=0.5)).ruling is Ruling.BAD
        assert self.late(fast, slow, Slo(ttft=0.5)).ruling is Ruling.GOOD
        assert self.late(slow, slow, Slo(ttft=0.5)).ruling is Ruling.UNDECIDED

    def test_an_objective_between_two_bounds_leaves_a_doubt_that_holds(self) -> None:
        between = Histogram({"0.25": 0, "0.5": 1000, "+Inf": 1000})
        share = between.slower(0.3)
        assert (share.count, share.maybe) == (0, 1000)
        fast = Histogram({"0.25": 1000, "0.5": 1000, "+Inf": 1000})
        assert self.late(between, fast, Slo(ttft=0.3)).ruling is Ruling.UNDECIDED

    def test_without_an_objective_the_other_versions_are_the_measure(self) -> None:
        stable = Histogram({"0.25": 960, "0.5": 1000, "+Inf": 1000})
        assert stable.quantile(0.95) == 0.25
        slower = Histogram({"0.25": 600, "0.5": 1000, "+Inf": 1000})
        assert self.late(slower, stable, Slo()).ruling is Ruling.BAD
        assert self.late(stable, stable, Slo()).ruling is Ruling.UNDECIDED  # at worst a little above its limit
        assert math.isinf(Histogram({}).quantile(0.95))


class TestTally:
    def test_a_series_that_is_new_began_at_nought(self) -> None:
        tally = Tally(look({(REQUESTS, "v1", "ok"): 500}))
        tally.add(look({(REQUESTS, "v1", "ok"): 510, (REQUESTS, "v2", "upstream_error"): 3}))
        assert evidence(tally, lambda version: version == "v2").failed.count == 3
        assert evidence(tally, lambda version: version == "v1").requests == 10

    def test_a_gateway_that_starts_again_counts_from_nought(self) -> None:
        tally = Tally(look({(REQUESTS, "v1", "ok"): 500}))
        for value in (510, 4, 9):
            tally.add(look({(REQUESTS, "v1", "ok"): value}))
        assert tally.counts[REQUESTS, "v1", "ok"] == 10 + 9

    def test_what_a_gateway_that_appears_counted_before_does_not_count(self) -> None:
        other = frozenset({("instance", "b:8082")})
        tally = Tally(look({}))
        tally.add(look({(REQUESTS, "v2", "ok"): 1000}, other))
        tally.add(look({(REQUESTS, "v2", "ok"): 1010}, other))
        assert tally.counts[REQUESTS, "v2", "ok"] == 10

    def test_a_scrape_that_is_missed_loses_nothing(self) -> None:
        tally = Tally(look({(REQUESTS, "v1", "ok"): 5}))
        for values in ({(REQUESTS, "v1", "ok"): 6}, {}, {(REQUESTS, "v1", "ok"): 9}):
            tally.add(look(values))
        assert tally.counts[REQUESTS, "v1", "ok"] == 4

    def test_a_request_that_another_version_answered_is_the_failure_of_the_one_that_did_not(self) -> None:
        tally = Tally(look({}))
        tally.add(look({(REQUESTS, "v1", "ok"): 100, (RETRIES, "v2", "503"): 3, (RETRIES, "v2", "429"): 2}))
        found = evidence(tally, lambda version: version == "v2")
        assert (found.requests, found.failed.count, found.refused.count) == (5, 3, 2)

    def test_buckets_are_read_as_they_are_counted(self) -> None:
        tally = Tally(look({}))
        tally.add(look({(TTFT, "v2", "0.5"): 3, (TTFT, "v2", "1"): 5, (TTFT, "v2", "+Inf"): 6}))
        ttft = evidence(tally, lambda version: version == "v2").ttft
        assert (ttft.slower(0.5).count, ttft.slower(1).count, ttft.total) == (3, 1, 6)


WEIGHTS = st.dictionaries(st.sampled_from(["v0", "v1", "v3"]), st.integers(0, 1000), min_size=1).filter(
    lambda found: any(found.values())
)


@given(st.integers(1, 100), WEIGHTS)
def test_weights_add_up_and_share_as_before(share: int, others: dict[str, int]) -> None:
    made = weights_at(share, "v2", {**others, "v2": 0})
    assert sum(made.values()) == 100
    assert made["v2"] == share
    for label, weight in others.items():
        assert abs(made[label] - (100 - share) * weight / sum(others.values())) < 1
