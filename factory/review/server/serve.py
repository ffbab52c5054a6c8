"""The program that serves a review: `python serve.py`, in the tool environment, an order on its standard input.

The order is one line of JSON: `home` (the folder of the database), `host`, `port`, `workspace`, `api_key`, and
`people` as `people.make` wants them. It answers one line when it is ready: `{"made": [names]}`. It ends on SIGTERM,
and when its standard input closes: so it does not outlive whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGE = "hala_factory.review.server"


def main() -> None:
    """Serve until we are asked to end."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    os.umask(0o077)  # all that is written here is for the one who runs it
    home = Path(order["home"])
    tempfile.tempdir = str(home / "tmp")  # Argilla copies its page to a temporary folder, and leaves it there
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    Path(tempfile.tempdir).mkdir()
    _stand_in_for_package()
    _stand_in_for_redis()
    _settle_sqlite()

    from hala_factory.review.server import engine, people

    assert os.environ["ARGILLA_SEARCH_ENGINE"] == engine.NAME
    _migrate()
    made = asyncio.run(_make(people, order))
    _work_through_queue()
    _serve(order, {"made": made})
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)


def _stand_in_for_package() -> None:
    """Make `hala_factory.review.server` this folder, without the rest of us and what that would import."""
    for name in ("hala_factory", "hala_factory.review", PACKAGE):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(HERE)] if name == PACKAGE else []


def _stand_in_for_redis() -> None:
    import fakeredis
    import redis

    server = fakeredis.FakeServer()
    redis.from_url = lambda url, **options: fakeredis.FakeRedis(server=server, **options)


def _settle_sqlite() -> None:
    """Readers do not wait for writers; what was answered is on disk when the answer is acknowledged."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def settle(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(Engine, "connect", settle)


def _migrate() -> None:
    from alembic import command
    from alembic.config import Config
    from argilla_server.database import ALEMBIC_CONFIG_FILE

    command.upgrade(Config(ALEMBIC_CONFIG_FILE), "head")


async def _make(people: Any, order: dict[str, Any]) -> list[str]:
    from argilla_server.database import async_engine

    made: list[str] = await people.make(order["workspace"], order["api_key"], order["people"])
    await async_engine.dispose()  # its connections belong to the loop that ends here
    return made


def _work_through_queue() -> None:
    """Argilla's background jobs, in a thread of this process."""
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
    from rq import SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class Worker(SimpleWorker):  # type: ignore[misc]
        death_penalty_class = TimerDeathPenalty  # signals are for the main thread

        def _install_signal_handlers(self) -> None: ...

    worker = Worker([HIGH_QUEUE, DEFAULT_QUEUE], connection=REDIS_CONNECTION)
    threading.Thread(target=lambda: worker.work(logging_level="WARNING"), daemon=True).start()


def _serve(order: dict[str, Any], ready: dict[str, Any]) -> None:
    import argilla_server
    import uvicorn

    from hala_factory.review.server import page

    page.settle(Path(tempfile.gettempdir()))

    class Server(uvicorn.Server):  # type: ignore[misc]
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(json.dumps(ready), flush=True)

    config = uvicorn.Config(
        page.guarded(argilla_server.app),
        host=order["host"],
        port=order["port"],
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = Server(config)

    def end_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
