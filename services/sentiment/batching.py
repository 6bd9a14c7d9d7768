"""Batch the texts of concurrent requests without making any of them wait for company.

While one batch runs, what arrives queues up and becomes the next: batches are as large as the load makes them, and a
lone request starts at once. BentoML's own adaptive batching waits for as long as recent requests had to wait, so
after a burst it holds back even a lone request for seconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

Row = list[float]
Run = Callable[[list[str]], list[Row]]


@dataclass(eq=False)
class _Job:
    texts: list[str]
    answer: asyncio.Future[list[Row]]
    rows: list[Row] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        return self.texts[len(self.rows) :]

    def extend(self, rows: list[Row]) -> None:
        self.rows += rows
        if len(self.rows) == len(self.texts) and not self.answer.done():
            self.answer.set_result(self.rows)


@dataclass(frozen=True)
class _Part:
    """What one job has in one batch."""

    job: _Job
    texts: list[str]


class Batcher:
    """Runs `run` in a thread, one batch at a time; `observe` is told each batch's requests and texts."""

    def __init__(self, run: Run, batch_texts: int, observe: Callable[[int, int], None]) -> None:
        self._run = run
        self._batch_texts = batch_texts
        self._observe = observe
        self._queue: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, "model")
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Texts that no batch has answered yet."""
        return sum(len(job.left) for job in self._queue)

    async def __call__(self, texts: list[str]) -> list[Row]:
        """One row per text, in order. Cancelling it withdraws the texts that no batch holds yet."""
        job = _Job(texts, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await job.answer

    async def _work(self) -> None:
        while parts := self._next():
            self._observe(len(parts), sum(len(part.texts) for part in parts))
            if await self._answer(parts) or len(parts) == 1:
                continue
            for part in parts:  # one of them made the batch fail: only that one is to fail
                await self._answer([part])

    def _next(self) -> list[_Part]:
        """A batch's worth in order of arrival; a job that needs more goes to the back, so that short ones get past."""
        parts: list[_Part] = []
        room = self._batch_texts
        unfinished: list[_Job] = []
        while room and self._queue:
            job = self._queue.popleft()
            if job.answer.done():
                continue
            part = _Part(job, job.left[:room])
            room -= len(part.texts)
            parts.append(part)
            if len(part.texts) < len(job.left):
                unfinished.append(job)
        self._queue.extend(unfinished)
        return parts

    async def _answer(self, parts: list[_Part]) -> bool:
        texts = [text for part in parts for text in part.texts]
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run, texts)
        await asyncio.wait([running])
        error = running.exception()
        if error is None:
            rows = iter(running.result())
            for part in parts:
                part.job.extend([next(rows) for _ in part.texts])
        elif len(parts) == 1 and not parts[0].job.answer.done():
            parts[0].job.answer.set_exception(error)
        return error is None
