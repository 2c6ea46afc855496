"""How every program on the node connects to the backend."""

import ssl

import httpx

from watcher_agents import __version__
from watcher_agents.settings import AgentSettings, SettingError


def connect(settings: AgentSettings, program: str, timeout: httpx.Timeout) -> httpx.Client:
    """A client for the backend, to be closed; `program` is what the backend's log calls it.

    Nothing is sent yet. Raises SettingError where the CA file holds no certificate.
    """
    headers = {"User-Agent": f"watcher-{program}/{__version__}"}
    if settings.api_token:
        headers["Authorization"] = f"Bearer {settings.api_token}"
    return httpx.Client(
        base_url=settings.api_url,
        headers=headers,
        verify=_verification(settings),
        # The address is one in the site's own network: a proxy from the environment is never right.
        trust_env=False,
        timeout=timeout,
    )


def _verification(settings: AgentSettings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        # With http there is nothing to verify, and loading the system's certificates costs memory and time.
        return not settings.api_url.startswith("http://")
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except ssl.SSLError as error:
        raise SettingError("WATCHER_CA_FILE", str(settings.ca_file), "a file with PEM certificates") from error
