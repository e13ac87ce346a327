"""The dead man's switch: requests a URL after each completed check. Who watches the watcher sees when it stops.

The URL is a secret: it appears in no message.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from healthcheck.keep import secret
from healthcheck.keep.secret import SecretError

TIMEOUT_S = 5.0


def ping(url_file: Path) -> str | None:
    """Request the URL in the file; None if that worked, else why not, in one line without the URL."""
    try:
        url = secret.read(url_file).strip()
    except SecretError as error:
        return f"heartbeat URL: {error}"
    if not url.startswith(("https://", "http://")):
        return f"heartbeat URL: {url_file} does not hold an http(s) URL"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "scan-bridge-health"})  # noqa: S310  # checked
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            response.read(1024)
    except urllib.error.HTTPError as error:
        return f"heartbeat URL: HTTP status {error.code}"
    except urllib.error.URLError as error:
        return f"heartbeat URL: {getattr(error.reason, 'strerror', None) or type(error.reason).__name__}"
    except (OSError, ValueError) as error:
        return f"heartbeat URL: {type(error).__name__}"
    return None
