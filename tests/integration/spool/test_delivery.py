"""Delivery against HTTP servers that misbehave in each way that a network and a backend can."""

from contextlib import closing

import pytest

from lab import spooling
from lab import troubled_backend as troubled
from lab.spooling import version
from lab.troubled_backend import Answer, Server
from lab.waiting import wait_for
from watcher_agents.backend_client import RETRY_AFTER_AT_MOST, BackendClient, BackendUnavailable
from watcher_agents.delivery import Delivery
from watcher_agents.settings import read_agent_settings
from watcher_agents.spool import Spool, SpooledEvent
from watcher_agents.state import StateDatabase


def add(state: StateDatabase, spool: Spool, *names: str) -> None:
    spooling.add(state, spool, *map(version, names))


@pytest.mark.parametrize(
    "trouble",
    [
        troubled.fail,
        troubled.cut,
        troubled.answer_half,
        troubled.not_the_backend,
        troubled.too_few_results,
        troubled.wrong_ids,
        troubled.same_id_twice,
        troubled.unauthorised,
        troubled.overloaded,
        troubled.redirect_elsewhere,
    ],
)
@pytest.mark.usefixtures("delivery")
def test_what_is_not_acknowledged_is_sent_again(
    server: Server, state: StateDatabase, spool: Spool, trouble: Answer
) -> None:
    server.answers.append(trouble)
    add(state, spool, "a", "b")
    wait_for(lambda: server.stored == ["a", "b"], "both events")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert [ids for _, ids in server.requests] == [["a", "b"]] * 2


def test_a_sink_is_told_to_fail_until_it_takes_something(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    assert delivery.failing() is None
    server.answers.append(troubled.busy)
    add(state, spool, "a")
    problem = wait_for(delivery.failing, "the failure to be told") or ""
    assert problem.startswith("backend failing for ")
    assert "(HTTP 429: busy)" in problem
    wait_for(lambda: delivery.failing() is None, "the failure to be over")
    assert server.stored == ["a"]


@pytest.mark.usefixtures("delivery")
def test_an_answer_that_is_lost_makes_no_second_row(server: Server, state: StateDatabase, spool: Spool) -> None:
    server.answers.append(troubled.store_and_lose_the_answer)
    add(state, spool, "a")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert server.stored == ["a"]
    assert len(server.requests) == 2


@pytest.mark.usefixtures("delivery")
def test_the_backend_is_left_alone_for_as_long_as_it_asked(
    server: Server, state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers.append(troubled.busy)
    add(state, spool, "a")
    wait_for(lambda: server.stored == ["a"], "the event")
    (record,) = [record for record in caplog.records if "next try in" in record.getMessage()]
    assert "next try in 2.0 s" in record.getMessage()


@pytest.mark.usefixtures("delivery")
def test_a_rejected_event_is_set_aside_and_those_behind_it_flow(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers.append(troubled.reject_one)
    add(state, spool, "bad", "good")
    wait_for(lambda: server.stored == ["good"], "the good event")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert spool.backlog().rejected == 1


@pytest.mark.usefixtures("delivery")
def test_a_batch_that_is_refused_whole_is_halved_until_the_event_at_fault_stands_alone(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers.append(troubled.refuse_poison)
    names = [str(number) for number in range(20)]
    add(state, spool, *names[:7], "poison", *names[7:])
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert sorted(server.stored) == sorted(names)
    assert spool.backlog().rejected == 1


@pytest.mark.usefixtures("delivery")
def test_the_token_goes_with_each_request_and_nowhere_else(
    server: Server, state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers += [troubled.unauthorised, troubled.fail]
    add(state, spool, "a")
    wait_for(lambda: server.stored == ["a"], "the event")
    assert {headers["Authorization"] for headers, _ in server.requests} == {"Bearer example"}
    assert "example" not in caplog.text


def test_a_stop_delivers_what_waits(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    server.answers.append(troubled.fail)
    add(state, spool, "a")
    assert delivery.stop(10.0)
    assert server.stored == ["a"]
    assert spool.backlog().events == 0


def test_a_backend_that_does_not_answer_holds_up_no_stop(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery
) -> None:
    server.answers.append(troubled.hang)
    add(state, spool, "a")
    wait_for(lambda: server.requests, "the request")
    assert not delivery.stop(0.0)
    assert spool.backlog().events == 1
    server.answer_now.set()
    wait_for(lambda: delivery.stop(0.0), "the sender to end")


@pytest.mark.usefixtures("delivery")
def test_results_belong_to_the_events_that_they_name(server: Server, state: StateDatabase, spool: Spool) -> None:
    server.answers.append(troubled.store_in_another_order)
    add(state, spool, "bad", "b", "c")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert sorted(server.stored) == ["b", "c"]
    with state.reading() as connection:
        assert connection.execute("SELECT id FROM rejected").fetchall() == [("bad",)]


@pytest.mark.usefixtures("delivery")
def test_an_event_that_a_proxy_finds_too_large_is_set_aside_alone(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers.append(troubled.too_large)
    add(state, spool, "a", "large", "b", "c")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert sorted(server.stored) == ["a", "b", "c"]
    assert spool.backlog().rejected == 1


@pytest.mark.usefixtures("delivery")
def test_a_gap_is_delivered_and_told_with_its_cause(
    server: Server, state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    spooling.add(state, spool, spooling.gap("g"), spooling.gap("h", workspace="os-1-007"))
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    wait_for(lambda: "id=h " in caplog.text, "the line about it")
    assert "API success: type=gap cause=agent_stopped id=g status=stored" in caplog.text
    (record,) = [record for record in caplog.records if "id=h " in record.getMessage()]
    assert getattr(record, "workspace", None) == "os-1-007"


@pytest.mark.usefixtures("delivery")
def test_a_line_about_an_event_without_content_names_the_workspace_as_it_is_written(
    state: StateDatabase, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    spooling.add(state, spool, version("a", None, "os-1-007"))
    record = wait_for(
        lambda: next((one for one in caplog.records if "API success" in one.getMessage()), None), "the line"
    )
    assert getattr(record, "student_id", None) == "007"


@pytest.mark.usefixtures("delivery")
def test_a_backend_that_fails_for_long_gets_everything_in_the_end(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    server.answers += [troubled.fail, troubled.overloaded, troubled.fail, troubled.store_and_lose_the_answer]
    names = [f"{number:04}" for number in range(1200)]
    add(state, spool, *names)
    wait_for(lambda: spool.backlog().events == 0, "an empty spool", 60.0)
    assert sorted(server.stored) == names


@pytest.mark.usefixtures("delivery")
def test_what_another_program_puts_back_is_sent_without_an_announcement(
    server: Server, state: StateDatabase, spool: Spool
) -> None:
    add(state, spool, "a")
    wait_for(lambda: server.stored == ["a"], "the first event")
    with state.transaction() as transaction:
        spool.append(transaction, [version("b")])
    wait_for(lambda: server.stored == ["a", "b"], "the second event")


def test_a_spool_that_cannot_be_written_is_an_outage_like_any_other(
    server: Server, state: StateDatabase, spool: Spool, delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    """What the backend stored is sent again until the spool can let go of it, and is a duplicate there."""
    server.answers.append(troubled.fail)
    add(state, spool, "a")
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    wait_for(lambda: "spool failed: attempt to write a readonly database" in caplog.text, "the failure")
    assert state.problem() == "spool cannot be written: attempt to write a readonly database"
    assert delivery.failing() is None
    with state.reading() as connection:
        connection.execute("PRAGMA query_only = OFF")
    wait_for(lambda: spool.backlog().events == 0, "an empty spool")
    assert server.stored == ["a"]
    assert state.problem() is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "ConnectError: .*refused"),
        ("http://nowhere.invalid:3000", "ConnectError: .*"),
        ("https://127.0.0.1:{port}", "ConnectError: .*SSL"),
    ],
)
def test_a_backend_that_cannot_be_reached_is_named_with_the_reason(server: Server, url: str, reason: str) -> None:
    settings = read_agent_settings({"WATCHER_API_URL": url.format(port=server.server_port)}, "filemon", 9090)
    with closing(BackendClient(settings, "filemon")) as client, pytest.raises(BackendUnavailable, match=reason):
        client.send([SpooledEvent(1, {"id": "a"}, "")])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", RETRY_AFTER_AT_MOST),
        ("9" * 400, RETRY_AFTER_AT_MOST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_AT_MOST),
        ("Fri, 31 Dec 9999 23:59:59 -0000", RETRY_AFTER_AT_MOST),
        ("Mon, 01 Jan 1990 00:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_how_long_the_backend_may_ask_to_be_left_alone(server: Server, value: str, seconds: float | None) -> None:
    server.answers.append(lambda handler, _: handler.reply(429, {"detail": "busy"}, Retry_After=value))
    settings = read_agent_settings({"WATCHER_API_URL": f"http://127.0.0.1:{server.server_port}"}, "filemon", 9090)
    with closing(BackendClient(settings, "filemon")) as client, pytest.raises(BackendUnavailable) as raised:
        client.send([SpooledEvent(1, {"id": "a"}, "")])
    assert raised.value.retry_after == seconds
