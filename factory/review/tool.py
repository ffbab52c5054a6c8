"""The tool environment of the review server: Argilla pins releases that ours cannot share.

Every package is pinned, so that the environment is the same next year.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hala_factory import environments
from hala_factory.errors import InputError

ARGILLA = "2.8.0"
PINS = (
    f"argilla-server=={ARGILLA}",
    "aiofiles==24.1.0",
    "aiohappyeyeballs==2.7.1",
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "aiosqlite==0.20.0",
    "alembic==1.13.3",
    "annotated-types==0.8.0",
    "anyio==4.16.0",
    "attrs==26.1.0",
    "backoff==2.2.1",
    "bcrypt==4.2.1",
    "brotli==1.2.1",
    "brotli-asgi==1.4.0",
    "certifi==2026.10.18",
    "cffi==2.1.1",
    "charset-normalizer==3.5.2",
    "click==8.1.8",  # typer 0.9 fails with 8.2: Secondary flag is not valid for non-boolean flag
    "cryptography==50.0.2",
    "datasets==5.0.1",
    "defusedxml==0.7.1",
    "dill==0.4.1",
    "ecdsa==0.19.2",
    "elastic-transport==8.19.0",
    "elasticsearch8==8.7.0",
    "fakeredis==2.40.0",  # the queue, inside the server
    "fastapi==0.115.14",
    "filelock==4.2.11",
    "frozenlist==1.8.0",
    "fsspec==2026.6.0",
    "greenlet==3.1.1",
    "h11==0.16.0",
    "hf-xet==1.8.0",
    "httpcore==1.0.9",
    "httptools==0.9.0",
    "httpx==0.27.2",
    "huggingface-hub==0.36.2",
    "idna==3.20",
    "jinja2==3.1.6",
    "mako==1.4.3",
    "markdown-it-py==4.3.0",
    "markupsafe==3.0.4",
    "mdurl==0.1.2",
    "multidict==7.2.1",
    "multiprocess==0.70.19",
    "numpy==2.4.6",
    "oauthlib==3.2.2",
    "opensearch-py==2.0.1",
    "packaging==26.3",
    "pandas==3.1.1",
    "pillow==13.0.0",
    "propcache==0.5.4",
    "psutil==5.9.8",
    "pyarrow==26.0.1",
    "pyasn1==0.6.5",
    "pycparser==3.12",
    "pydantic==2.9.2",
    "pydantic-settings==2.6.1",
    "pydantic-core==2.23.4",
    "pygments==2.21.0",
    "pyjwt==2.15.1",
    "python-dateutil==4.0.0",
    "python-dotenv==1.2.4",
    "python-jose==3.3.0",
    "python-multipart==0.0.34",
    "python3-openid==3.2.0",
    "pyyaml==6.0.3",
    "redis==8.1.0",
    "requests==2.34.2",
    "requests-oauthlib==2.0.0",
    "rich==15.0.0",
    "rq==1.16.2",
    "rsa==4.9.1",
    "six==1.17.0",
    "sniffio==1.3.1",
    "social-auth-core==4.5.6",
    "sortedcontainers==2.4.0",
    "sqlalchemy==2.0.58",
    "standardwebhooks==1.1.0",
    "starlette==0.46.2",
    "tqdm==4.70.1",
    "typer==0.9.4",
    "typing-extensions==4.16.0",
    "tzdata==2026.6",
    "urllib3==1.26.20",
    "uvicorn==0.32.1",
    "uvloop==0.23.0",
    "watchfiles==1.3.0",
    "websockets==17.4",
    "xxhash==4.1.0",
    "yarl==1.25.1",
)
"""What pip installs: the release of everything in it."""
OVERRIDE = "HALA_ARGILLA_PYTHON"
"""The environment variable that names the Python of an environment of Argilla's server made by hand."""


def find() -> Path | None:
    """The Python of the environment, None if there is none (or only a half-made one)."""
    return environments.find("argilla", OVERRIDE)


def expect() -> Path:
    """The same. Raises InputError where there is none."""
    python = find()
    if python is None or not python.exists():
        what = f"{python} is not there" if python else "there is no Argilla environment on this machine"
        raise InputError(f"to serve a review: {what}; run: hala-factory tools install argilla")
    return python


def install(folder: Path | None = None, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Make the environment, as `environments.install` does."""
    return environments.install("argilla", [["install", *PINS]], folder, say)
