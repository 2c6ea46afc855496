"""A node's status for a terminal."""

from watcher_agents.journal import printable
from watcher_agents.node.mount_state import MountState
from watcher_agents.node.status import AgentStatus, NodeStatus


def status_text(status: NodeStatus) -> str:
    """A few aligned lines; what is wrong stands last."""
    lines = [f"node {status.node}, release {status.release or '(none)'}"]
    for name, agent in status.agents.items():
        lines += _agent_lines(name, agent)
    lines += [_mount_line(point, mount) for point, mount in status.mounts.items()]
    problems = [*status.problems]
    for name, agent in status.agents.items():
        problems += [f"{name}: {problem}" for problem in agent.problems]
    lines += [f"PROBLEM {problem}" for problem in problems] or ["all is well"]
    return "\n".join(printable(line) for line in lines)


def _agent_lines(name: str, agent: AgentStatus) -> list[str]:
    spool = (
        "spool unknown"
        if agent.spool_events is None
        else f"{agent.spool_events} events wait ({agent.spool_bytes} bytes), {agent.rejected_events} set aside"
    )
    since = f" since {agent.since}" if agent.since else ""
    ready = "ready" if agent.ready else "not ready"
    lines = [
        f"  {name:<20}{agent.active}{since}, {ready}, release {agent.release or 'unknown'},"
        f" {agent.restarts} restarts",
        f"  {'':<20}{spool}, last event {agent.last_event_at or 'none yet'}",
    ]
    return lines + ([f"  {'':<20}{agent.status}"] if agent.status else [])


def _mount_line(point: str, mount: MountState) -> str:
    of = "" if mount.source is None else f" {mount.source} ({mount.type}: {mount.options})"
    return f"  {point:<20}{mount.state}{of}"
