"""What a benchmark says of its rounds."""

from loadtests.report import document, ratios, table
from loadtests.results import DIRECT, Results

NAMES = (
    "rate",
    "p50",
    "cpu64",
    "cpu256",
    "ttft50_64",
    "ttft99_64",
    "ttft50_256",
    "ttft99_256",
    "ttft50_calm",
    "ttft99_calm",
    "idle",
    "after",
    "others",
)


def results(*rounds: tuple[float, float]) -> Results:
    """Of each round: every figure of the engine directly, and of a gateway."""
    made = Results([DIRECT, "naru"])
    for direct, through in rounds:
        made.add(DIRECT, dict.fromkeys(NAMES, direct))
        made.add("naru", dict.fromkeys(NAMES, through))
    return made


def test_a_figure_is_the_median_with_its_range() -> None:
    assert "| naru | 3,000 (2,000 to 9,000) |" in table(results((1, 2000), (1, 9000), (1, 3000)))


def test_added_is_the_difference_within_one_round() -> None:
    spread = results((10, 15), (100, 107), (20, 26)).added("naru", "p50")
    assert (spread.median, spread.low, spread.high) == (6, 5, 7)


def test_a_target_that_broke_an_answer_has_no_figures() -> None:
    broken = results((1, 2000))
    broken.fail("naru", "closed before the answer was whole")
    assert "2,000" not in table(broken)
    assert "| naru | failed |" in table(broken)


def test_the_document_names_the_command_and_what_else_ran() -> None:
    text = document(results((0.25, 0.5)), "python -m loadtests.bench", 1)
    assert "`python -m loadtests.bench`" in text
    assert "50% at most" in text


def test_rates_are_compared_with_envoys_of_the_same_round() -> None:
    made = Results(["naru", "envoy", "vllm-router"])
    for naru, envoy in ((300, 100), (10, 20), (60, 40)):
        made.add("naru", {"rate": naru})
        made.add("envoy", {"rate": envoy})
    made.fail("vllm-router", "closed before the answer was whole")
    assert ratios(made).endswith("naru 1.50 (0.50 to 3.00).")
    assert ratios(Results(["naru"])) == ""
