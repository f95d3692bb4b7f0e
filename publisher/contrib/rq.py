"""RQ: what a job published is delivered before the process that ran it ends.

RQ's worker runs each job in a process of its own (the "work horse"), which leaves through
``os._exit``: nothing that Python runs at exit runs there. The workers of this module close the
publishers of that process once the job is over, whether it succeeded, failed or timed out::

    rq worker --worker-class publisher.contrib.rq.PublisherWorker

The job's result is stored first; only the work horse's end waits, for ``close_timeout`` at most.
Where RQ stops a work horse with SIGKILL, what it had not sent is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rq.worker
from rq.job import Job
from rq.queue import Queue

from . import _everywhere

if TYPE_CHECKING:
    _Base = rq.worker.Worker
else:
    _Base = object


class FlushAfterJob(_Base):
    """For worker classes of your own: name it first, ``class Mine(FlushAfterJob, YourWorker)``.

    A worker that runs jobs in its own process (``rq.SimpleWorker``) needs none of this: that
    process ends as others do.
    """

    def perform_job(self, job: Job, queue: Queue, *args: object, **kwargs: object) -> bool:
        """Run the job as RQ does; in a work horse, deliver then what it published."""
        try:
            return super().perform_job(job, queue, *args, **kwargs)  # type: ignore[arg-type]
        finally:
            if self.is_horse:
                _everywhere.close()


class PublisherWorker(FlushAfterJob, rq.worker.Worker):
    """RQ's worker, which forks for each job."""


class PublisherSpawnWorker(FlushAfterJob, rq.worker.SpawnWorker):
    """RQ's worker that starts a new interpreter for each job."""
