"""The units of the roles as a node gets them, with the roles' defaults."""

from pathlib import Path

import jinja2

from unit.roles.loading import ROLES
from unit.roles.specifications import NAMES, defaults

TEMPLATES = {
    "filemon": ROLES / "filemon" / "templates" / "watcher-filemon.service.j2",
    "procmon": ROLES / "procmon" / "templates" / "watcher-procmon.service.j2",
    "backend": ROLES / "backend" / "templates" / "service" / "watcher-backend.service.j2",
}


def render(service: str, directory: Path) -> Path:
    """Write the service's unit into a directory, with a release there whose program systemd can look for."""
    program = directory / "current" / "venv" / "bin" / f"watcher-{service}"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    variables = {name: value for role in NAMES for name, value in defaults(role).items()}
    roots = {"common_release_root": str(directory), "backend_release_root": str(directory)}
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(
        TEMPLATES[service].read_text()
    )
    unit = directory / f"watcher-{service}.service"
    unit.write_text(template.render(variables | roots | {"ansible_managed": "Ansible managed"}))
    return unit
