"""`/v1/sentiment` and `/v1/recommendations`: checked here, answered by the task models' services."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from services.common.errors import InvalidField, InvalidRequest
from services.gateway.api.door import Order
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.routes import ApiRoute
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyring import Principal
from services.gateway.registry import Task
from services.gateway.relay.dialects import TaskAnswer
from services.gateway.routing.fleet import ModelPool


class TaskRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: StrictStr | None = None
    """A model of this task; the registry's first one where left out."""


Text = Annotated[StrictStr, Field(pattern=r"\S")]
Identifier = StrictStr | StrictInt


class SentimentRequest(TaskRequest):
    input: Text | Annotated[list[Text], Field(min_length=1)]
    """One text or several, in any mix of English and Korean."""


class RecommendationRequest(TaskRequest):
    user_id: Identifier | None = None
    """A user the model was trained on gets what suits that user."""
    history: list[Identifier] | None = None
    """Items, oldest first: for a user the model does not know, or to add to what it does."""
    k: StrictInt = Field(default=10, ge=1)
    """How many items."""
    exclude_seen: bool = True
    """Leave out what the user already had."""


class SentimentResult(BaseModel):
    label: str
    score: float
    scores: dict[str, float]


class SentimentAnswer(BaseModel):
    model: str
    version: str
    results: list[SentimentResult]


class RecommendedItem(BaseModel):
    id: str
    title: str | None = None
    score: float


class RecommendationAnswer(BaseModel):
    model: str
    version: str
    strategy: str
    items: list[RecommendedItem]
    unknown_items: list[str] = []
    """Items of the history that the model does not know."""


Body = TypeVar("Body", bound=TaskRequest)


@dataclass(frozen=True, slots=True)
class TaskSurface:
    """One task model's surface: its path here, and its path on the service."""

    operation: str
    path: str
    task: Task
    request: type[TaskRequest]
    answer: type[BaseModel]
    upstream_path: str
    summary: str
    example: dict[str, object]

    def prepare(self, gate: Gate, principal: Principal, body: bytes) -> tuple[ModelPool, Order]:
        """Raises what `parse` and `Gate.model` raise."""
        asked = parse(self.request, body)
        pool = gate.model(principal, asked.model, self.task)
        sent = asked.model_dump_json(exclude={"model"}, exclude_none=True).encode()
        return pool, Order(self.operation, TaskAnswer(), self.upstream_path, sent)


SENTIMENT = TaskSurface(
    "sentiment", "/v1/sentiment", Task.SENTIMENT, SentimentRequest, SentimentAnswer, "/analyze",
    "Sentiment of texts", {"input": ["What a lovely ferry ride!", "정말 지루한 영화였다"]},
)  # fmt: skip
RECOMMENDATION = TaskSurface(
    "recommendation", "/v1/recommendations", Task.RECOMMENDATION, RecommendationRequest, RecommendationAnswer,
    "/recommend", "Recommendations for a user or a history", {"user_id": "196", "k": 5},
)  # fmt: skip
SURFACES = (SENTIMENT, RECOMMENDATION)


def tasks_routes(edge: HttpEdge) -> list[ApiRoute]:
    return [_route(edge, surface) for surface in SURFACES]


def _route(edge: HttpEdge, surface: TaskSurface) -> ApiRoute:
    async def answered(request: Request) -> Response:
        admitted = await edge.admit(request)
        pool, order = surface.prepare(edge.gate, admitted.principal, admitted.body)
        return edge.relay(admitted, pool, order)

    content = {"application/json": {"schema": surface.request.model_json_schema(), "example": surface.example}}
    return ApiRoute(
        "POST", surface.path, answered, surface.summary, "task models", surface.operation, result=surface.answer,
        details={"requestBody": {"required": True, "content": content}},
    )  # fmt: skip


def parse(kind: type[Body], body: bytes) -> Body:
    """A request's fields. Raises InvalidRequest where the body is not JSON, InvalidField with the field's name."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = max(error.errors(include_url=False, include_input=False), key=_depth)
    if fault["type"] == "json_invalid":
        raise InvalidRequest(f"the body is not valid JSON: {fault['ctx']['error']}")
    if not fault["loc"]:
        raise InvalidRequest("the body must be a JSON object")
    param = field_name(fault["loc"])
    raise InvalidField(f"{param}: {_remedy(fault['type'], fault['msg'])}", param=param)


def _depth(fault: Any) -> int:
    """Where a field may be one of several types, the fault found deepest is the one the client meant."""
    return sum(isinstance(part, int) for part in fault["loc"])


def field_name(location: tuple[int | str, ...]) -> str:
    """`input[3]` for what pydantic calls ('input', 'list[…]', 3, 'str')."""
    name = str(location[0])
    return name + "".join(f"[{part}]" for part in location[1:] if isinstance(part, int))


def _remedy(kind: str, message: str) -> str:
    remedies = {
        "extra_forbidden": "there is no such field; GET /docs lists them",
        "string_pattern_mismatch": "give a text that is not empty",
        "string_type": "give a text",
        "too_short": "give at least one text",
    }
    return remedies.get(kind, message)
