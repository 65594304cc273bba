"""Whether the Hugging Face hub can be reached, asked once and briefly.

The libraries that read from the hub retry for half a minute and more where there is no network. Told that they are
offline they take what is in their cache, or fail at once.
"""

from __future__ import annotations

import os
import sys
import threading
import urllib.error
import urllib.request
from functools import cache

ENDPOINT = "https://huggingface.co"
TIMEOUT_S = 4.0


@cache
def offline_unless_reachable() -> None:
    """Put this process, and those that it starts, into the hub's offline mode if the hub does not answer in seconds.

    A user who sets HF_HUB_OFFLINE, to 0 too, has decided, and nothing is asked.
    """
    if os.environ.get("HF_HUB_OFFLINE") or is_reachable(os.environ.get("HF_ENDPOINT", ENDPOINT)):
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Libraries that are loaded already have read the environment.
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            sys.modules[module].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_reachable(url: str, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether anything answers at that address; proxies of the environment are used."""
    found: list[bool] = []
    # In a thread: a name that does not resolve can take longer than any timeout of the connection.
    asking = threading.Thread(target=lambda: found.append(_answers(url, timeout_s)), daemon=True)
    asking.start()
    asking.join(timeout_s + 1.0)
    return bool(found and found[0])


def _answers(url: str, timeout_s: float) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout_s):
            return True
    except urllib.error.HTTPError:
        return True  # It refuses this request, so it is there.
    except (OSError, ValueError):
        return False
