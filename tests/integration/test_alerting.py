"""From a failing record to a switched route, on a real Kafka, with real senders of alerts."""

from __future__ import annotations

import http.server
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support import configs
from support.detection import FAILURES, Detection, call, failures, write_rules
from support.index import Index
from support.naru import REPOSITORY, Program, eventually, http_status, run, write_config
from support.records import log_request
from support.services.alertmanager import Alertmanager
from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster
from support.services.process import free_port

OWN_RULES = yaml.safe_load((REPOSITORY / "config" / "rules" / "naru.yaml").read_text())["groups"][0]["rules"]

BROKER: dict[str, Any] = {
    "name": "broker",
    "routes": [{"name": "main", "url": "http://main.example", "watch": "service.broker"}, {"name": "sub", "url": "http://sub.example"}],
    "hold": "0s",
}


@pytest.fixture(scope="module")
def chain(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detection]:
    """One chain for tests that only add targets."""
    directory = tmp_path_factory.mktemp("chain")
    target = BROKER | {"effects": {"file": str(directory / "route.json")}}
    with Detection(directory, kafka.bootstrap, targets=[target], limits={"orders": {"per_second": 20}}) as running:
        yield running


class TestCounting:
    def test_the_101st_failure_makes_an_event_and_switches_the_route(self, chain: Detection) -> None:
        """OpenSearch is away the whole time: detection does not need it."""
        chain.post(failures("broker", 100))
        time.sleep(1)
        assert chain.status("service.broker")["status"] == "HEALTHY"
        chain.post(failures("broker", 1))
        chain.await_status("service.broker", "CRITICAL", 5)
        assert chain.route("broker")["active"] == "sub"
        events = chain.events("service.broker")
        assert [(event["status"], event["prevStatus"]) for event in events] == [("CRITICAL", "HEALTHY")]
        assert events[0]["evidence"]["records"] == 101
        schema = json.loads((REPOSITORY / "docs" / "formats" / "status-event.schema.json").read_text())
        for event in chain.events():
            jsonschema.validate(event, schema)
        route = eventually(lambda: Path(chain.directory / "route.json").read_text() if (chain.directory / "route.json").exists() else "", 5, "the file")
        assert '"active":"sub"' in route

    def test_60_failures_each_sent_twice_fire_nothing(self, chain: Detection) -> None:
        for position in range(0, 60, 20):
            body = failures("twice", 20, source="twice", position=position)
            chain.post(body)
            chain.post(body)
        time.sleep(1.5)
        assert chain.status("service.twice")["status"] == "HEALTHY"
        chain.post(failures("twice", 41, source="twice", position=60))
        chain.await_status("service.twice", "CRITICAL", 5)

    def test_a_host_whose_clock_runs_ahead_hides_nobodys_failures(self, chain: Detection) -> None:
        chain.post(failures("ahead", 1, ahead=300))
        chain.post(failures("honest", 60))
        chain.post(failures("ahead", 50, ahead=300))
        chain.post(failures("honest", 41))
        chain.await_status("service.honest", "CRITICAL", 5)
        chain.post(failures("ahead", 50, ahead=300))
        chain.await_status("service.ahead", "CRITICAL", 5)  # counted when they were received


class TestBlindness:
    def test_paused_preppers_make_it_blind_not_healthy_and_not_critical(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        rule = FAILURES | {"window": "2s", "keep_firing_for": "1s"}
        believed = {"blind_after": "2s", "lateness": "1s"}
        with Detection(tmp_path, kafka.bootstrap, [rule], rule_settings=believed) as chain:
            chain.post(failures("seen", 101))
            chain.await_status("service.seen", "CRITICAL")
            os.kill(chain.prepper.pid, signal.SIGSTOP)
            chain.post(failures("unseen", 200))
            chain.await_status("naru.detection", "CAUTION")
            time.sleep(3)  # more than window, hold and lateness
            seen = chain.status("service.seen")
            assert (seen["status"], seen["blind"]) == ("CRITICAL", True)
            assert chain.status("service.unseen")["status"] == "HEALTHY"
            assert http_status(chain.alerting[0].url("admin") + "/readyz") == 503
            os.kill(chain.prepper.pid, signal.SIGCONT)
            # What came meanwhile is counted, late as it is, and what is over goes down.
            eventually(lambda: chain.events("service.unseen"), 40, "the failures of the pause")
            chain.await_status("naru.detection", "HEALTHY", 40)
            chain.await_status("service.seen", "HEALTHY", 40)


class TestLeaders:
    def test_a_killed_leader_is_replaced_without_a_missed_or_a_doubled_change(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        with Detection(tmp_path, kafka.bootstrap, instances=2, targets=[BROKER]) as chain:
            chain.post(failures("broker", 101))
            chain.await_status("service.broker", "CRITICAL")
            chain.post(failures("half", 60))
            time.sleep(1)
            chain.leader().kill()
            begin = time.monotonic()
            assert chain.status("service.broker")["status"] == "CRITICAL"
            print(f"\n  a successor leads after {time.monotonic() - begin:.1f} s")
            assert chain.route("broker")["active"] == "sub"
            chain.post(failures("half", 41))
            chain.await_status("service.half", "CRITICAL")
            events = chain.events()
            assert [event["type"] for event in events] == ["service.broker", "service.half"]
            assert events[1]["epoch"] > events[0]["epoch"]

    def test_a_stopped_leader_that_wakes_changes_nothing(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        called = tmp_path / "called"
        target = BROKER | {
            "effects": {"command": ["sh", "-c", f'echo "$NARU_ROUTE $NARU_EPOCH" >> {called}'], "file": str(tmp_path / "route.json")}
        }
        with Detection(tmp_path, kafka.bootstrap, instances=2, targets=[target]) as chain:
            stopped = chain.leader()
            os.kill(stopped.pid, signal.SIGSTOP)
            others = [program for program in chain.alerting if program is not stopped]
            chain.alerting = others
            chain.leader()
            chain.post(failures("broker", 101))
            chain.await_status("service.broker", "CRITICAL")
            assert chain.route("broker")["active"] == "sub"
            os.kill(stopped.pid, signal.SIGCONT)
            admin = stopped.url("admin")
            for _ in range(50):  # whatever it answers while it finds out
                status, body, _ = call("GET", admin + "/v1/routes/broker")
                assert status == 503 or body["active"] == "sub", body
                status, body, _ = call("PUT", admin + "/v1/status/service.broker", {"status": "HEALTHY", "reason": "stale"})
                assert status == 503, body
                time.sleep(0.1)
            chain.alerting = [*others, stopped]
            assert [event["status"] for event in chain.events("service.broker")] == ["CRITICAL"]
            assert chain.route("broker")["active"] == "sub"
            assert called.read_text().split()[0::2] == ["sub"]
            assert '"active":"sub"' in (tmp_path / "route.json").read_text()


def stamp(ago: float = 0) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z")


class TestWebhooks:
    def test_a_real_alertmanager_fires_and_resolves(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        mapping = {"match": {"alertname": "BrokerErrors"}, "target": "service.{{ $labels.broker }}", "level": "CRITICAL"}
        webhooks = {"auth": {"bearer_token": "secret"}, "mappings": [mapping, {"ignore": True}]}
        target = BROKER | {"fail_back": "automatic", "fail_back_after": "1s"}
        with Detection(tmp_path, kafka.bootstrap, targets=[target], webhooks=webhooks) as chain:
            hook = chain.leader().url("admin") + "/webhooks/alertmanager"
            assert call("POST", hook, {"alerts": []})[0] == 401
            auth = {"authorization": {"type": "Bearer", "credentials": "secret"}}
            with Alertmanager(tmp_path / "am", hook, auth) as alertmanager:
                begins = stamp()
                alert = {"labels": {"alertname": "BrokerErrors", "broker": "broker"}, "startsAt": begins}
                alertmanager.push(alert)
                alertmanager.push({"labels": {"alertname": "Watchdog"}, "startsAt": begins})
                chain.await_status("service.broker", "CRITICAL", 20)
                assert chain.route("broker")["active"] == "sub"
                # It repeats itself every second: that is known.
                eventually(
                    lambda: chain.leader().metric("naru_webhook_alerts_total", outcome="duplicate") >= 2, 30, "repeated alerts"
                )
                alertmanager.push(alert | {"endsAt": stamp()})
                chain.await_status("service.broker", "HEALTHY", 20)
                eventually(lambda: chain.route("broker")["active"] == "main", 20, "the main route is back")
            assert [event["status"] for event in chain.events()] == ["CRITICAL", "HEALTHY"]
            assert chain.events()[0]["source"] == "alertmanager"

    def test_is_answered_503_while_it_cannot_be_durable(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        """A standby takes nothing; Alertmanager would take 429 for final."""
        with Detection(tmp_path, kafka.bootstrap, instances=2) as chain:
            leader = chain.leader()
            standby = next(program for program in chain.alerting if program is not leader)
            body = {"target": "x", "level": "CRITICAL", "status": "firing", "fingerprint": "f", "startsAt": stamp()}
            status, answer, _ = call("POST", standby.url("admin") + "/webhooks/generic", body)
            assert status == 503, answer
            status, answer, _ = call("POST", leader.url("admin") + "/webhooks/generic", body)
            assert (status, answer["taken"]) == (200, 1)
            assert [event["type"] for event in chain.events()] == ["x"]


class TestPeopleAndPrograms:
    def test_a_long_poll_hears_of_a_switch_at_once(self, chain: Detection) -> None:
        admin = chain.leader().url("admin")
        _, before, headers = call("GET", f"{admin}/v1/routes/broker")
        other = "main" if before["active"] == "sub" else "sub"
        heard: list[tuple[float, Any]] = []

        def listen() -> None:
            _, body, _ = call("GET", f"{admin}/v1/routes/broker?wait=30s", headers={"If-None-Match": headers["ETag"]})
            heard.append((time.monotonic(), body))

        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(0.5)
        begin = time.monotonic()
        status, _, _ = call("PUT", f"{admin}/v1/routes/broker", {"route": other, "reason": "a drill", "by": "test"})
        assert status == 200
        thread.join(10)
        assert heard[0][1]["active"] == other
        assert heard[0][0] - begin < 1

    def test_the_sum_of_all_callers_keeps_the_rate(self, chain: Detection) -> None:
        admin = chain.leader().url("admin")
        times: list[float] = []
        end = time.monotonic() + 3

        def work() -> None:
            while time.monotonic() < end:
                status, body, _ = call("POST", f"{admin}/v1/limits/orders/acquire", {"permits": 1, "waitMs": 500})
                if status == 200:
                    times.extend([time.monotonic()] * body["granted"])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(times) >= 40
        for begin in times:
            # Answers travel for a moment; the grants themselves are exact (unit test).
            assert sum(begin <= at < begin + 0.9 for at in times) <= 22

    @pytest.mark.parametrize("command", [["python3", "python/follow_route.py"], ["java", "java/FollowRoute.java"]])
    def test_the_examples_follow_the_route_and_keep_the_limit(self, chain: Detection, command: list[str]) -> None:
        address = chain.leader().endpoints["admin"]
        active = chain.route("broker")["active"]
        program = [command[0], str(REPOSITORY / "alerting" / "client" / command[1])]
        done = subprocess.run([*program, address, "broker", "orders", "3"], capture_output=True, text=True, timeout=90)
        orders = done.stdout.splitlines()
        assert orders and set(orders) == {f"an order goes to {active} (http://{active}.example)"}, done.stdout + done.stderr
        assert len(orders) <= 20 * 4 + 1

    def test_changed_rules_go_in_and_broken_ones_unload_nothing(self, kafka: KafkaCluster, tmp_path: Path) -> None:
        with Detection(tmp_path, kafka.bootstrap) as chain:
            (chain.rules / "broken.yaml").write_text("groups: [{name: x, rules: [{alert: Y}]}]\n")
            eventually(lambda: http_status(chain.prepper.url("admin") + "/readyz") == 503, 10, "the prepper says so")
            eventually(lambda: http_status(chain.alerting[0].url("admin") + "/readyz") == 503, 10, "alerting says so")
            chain.post(failures("still", 101))
            chain.await_status("service.still", "CRITICAL", 10)
            (chain.rules / "broken.yaml").unlink()
            write_rules(chain.rules, [FAILURES | {"critical_above": 5}])
            eventually(lambda: http_status(chain.alerting[0].url("admin") + "/readyz") == 200, 10, "it is well again")
            chain.post(failures("lower", 6))
            chain.await_status("service.lower", "CRITICAL", 10)


class _Chat(http.server.BaseHTTPRequestHandler):
    bodies: list[bytes] = []

    def do_POST(self) -> None:  # noqa: N802 -- the library's name
        _Chat.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_a_chat_that_never_answers_delays_no_switch_and_no_other_chat(kafka: KafkaCluster, tmp_path: Path) -> None:
    _Chat.bodies = []
    chat = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Chat)
    threading.Thread(target=chat.serve_forever, daemon=True).start()
    mute = socket.create_server(("127.0.0.1", free_port()))  # takes connections, answers nothing
    notices = [
        {"name": "mute", "kind": "slack", "url": f"http://127.0.0.1:{mute.getsockname()[1]}/T/B/X", "timeout": "60s"},
        {"name": "chat", "kind": "slack", "url": f"http://127.0.0.1:{chat.server_port}/T/B/X", "notices": {"mention": "<!here>"}},
    ]
    with Detection(tmp_path, kafka.bootstrap, targets=[BROKER], notices=notices) as chain:
        for service in ("broker", "second", "third"):
            begin = time.monotonic()
            chain.post(failures(service, 101))
            chain.await_status(f"service.{service}", "CRITICAL", 5)
            assert time.monotonic() - begin < 3
        assert chain.route("broker")["active"] == "sub"
        eventually(lambda: len(b"".join(_Chat.bodies).split(b"CRITICAL service.")) >= 4, 10, "messages in the chat that answers")
        assert b"<!here>" in _Chat.bodies[0]
        chain.alerting[0].kill()  # it waits for the mute one: a drain is not what is tested here
    mute.close()
    chat.shutdown()
    chat.server_close()


@pytest.mark.long  # a working stage is watched for a minute before it is accused
def test_what_naru_loses_itself_is_told_by_its_own_metrics(kafka: KafkaCluster, tmp_path: Path) -> None:
    """One record vanishes in the collector; the collector's metrics go the way of every other record."""
    port = free_port()
    collector = {
        "otlp_http": {"address": f"127.0.0.1:{port}"},
        "own_metrics": {"collector": f"http://127.0.0.1:{port}", "every": "1s", "instance": "c1"},
    }
    with Detection(tmp_path, kafka.bootstrap, OWN_RULES, env={"NARU_FAULT": "collector.drop_record:1"}, collector=collector) as chain:
        assert chain.status("naru.ledger")["status"] == "HEALTHY"
        event = chain.await_status("naru.ledger", "CRITICAL", 120)
        assert event["source"] == "rule/NaruLedger"
        assert "collector" in event["reason"] or "NaruLedger" in event["reason"]


def test_preppers_keep_a_shared_limit_of_documents(kafka: KafkaCluster, opensearch: OpenSearchCluster, tmp_path: Path) -> None:
    """Two writers, one rate; it is raised while they wait."""
    name = f"lim{uuid.uuid4().hex[:6]}"
    topics = configs.own_topics(name)
    with ExitStack() as started:
        alerting_config = configs.alerting(kafka.bootstrap, control={"group": name, **{f"{t}_topic": f"{name}.{t}" for t in ("leader", "counts", "status", "routes", "state")}})
        alerting = started.enter_context(
            Program.configured("naru-alerting", alerting_config | {"limits": {"documents": {"per_second": 100}}}, tmp_path / "alerting")
        )
        eventually(lambda: alerting.metric("naru_alerting_leads") == 1, 60, "a leader")
        prepper = configs.prepper(kafka.bootstrap, opensearch.url) | {
            "topics": topics,
            "consume": {"group": name},
            "bulk": {"linger": "10ms", "limit": {"name": "documents", "alerting": [alerting.url("admin")]}},
        } | configs.declared(tmp_path / "datasets.yaml", lifecycle={"driver": "off"})
        done = run("naru", "bootstrap", "--config", str(write_config(tmp_path / "prepper.yaml", prepper)), "--apply")
        assert done.returncode == 0, done.stdout + done.stderr
        writers = [started.enter_context(Program.configured("naru-prepper", prepper, tmp_path / f"prepper-{i}")) for i in range(2)]
        collector = configs.collector(tmp_path / "collector", kafka.bootstrap) | {"topics": topics}
        front = started.enter_context(Program.configured("naru-collector", collector, tmp_path / "collector-log"))
        begin = time.monotonic()
        for source in range(8):
            body = log_request(f"{name}{source}", name, [f"{source}/{i}" for i in range(250)], time.time_ns())
            request = urllib.request.Request(front.url("otlp-http") + "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
            urllib.request.urlopen(request, timeout=30).close()
        index = Index(opensearch.url, f"logs-otel-v1-{name}-*")
        found = eventually(index.count, 30, "the first documents", 0.2)  # a request waits for all its permits
        assert found <= 100 * (time.monotonic() - begin + 1)
        assert sum(writer.metric("naru_writer_limit_waits_total") or 0 for writer in writers) > 0
        set_it = run("naru", "limit", "set", "documents", "100000", "--admin", alerting.url("admin"), "--by", "kim")
        assert set_it.returncode == 0, set_it.stderr
        eventually(lambda: index.count() == 2_000, 30, "all documents at the new rate", 0.5)


@pytest.mark.long
def test_a_campaign_of_kills_misses_and_doubles_no_status(kafka: KafkaCluster, tmp_path: Path) -> None:
    """Leaders, standbys and counters are killed and stopped at random while services fail one after the other."""
    seed = int(os.environ.get("NARU_CAMPAIGN_SEED", time.time_ns() % 1_000_000))
    rounds = int(os.environ.get("NARU_CAMPAIGN_ROUNDS", 12))
    chance = random.Random(seed)
    print(f"  seed {seed}, {rounds} rounds")
    with Detection(tmp_path, kafka.bootstrap, instances=2, targets=[BROKER]) as chain:
        victims = [chain.prepper, *chain.alerting]
        stopped: list[Program] = []
        for number in range(rounds):
            service = f"svc-{number}"
            first = chance.randrange(1, 101)
            chain.post(failures(service, first, source=service))
            time.sleep(chance.uniform(0, 1))
            victim = chance.choice(victims)
            if chance.random() < 0.3 and victim is not chain.prepper and not stopped:
                os.kill(victim.pid, signal.SIGSTOP)
                stopped.append(victim)
            else:
                victim.kill()
                victim.start()
                stopped = [one for one in stopped if one is not victim]
            chain.post(failures(service, 101 - first, source=service, position=first))
            again = chance.random() < 0.5
            if again:  # an agent that got no answer sends the same once more
                chain.post(failures(service, first, source=service))
            if stopped and chance.random() < 0.5:
                os.kill(stopped.pop().pid, signal.SIGCONT)
        for one in stopped:
            os.kill(one.pid, signal.SIGCONT)
        wanted = {f"service.svc-{number}" for number in range(rounds)}

        def events() -> list[dict[str, Any]]:
            return [event for event in chain.events() if event["type"] in wanted]

        eventually(lambda: {event["type"] for event in events() if event["status"] == "CRITICAL"} == wanted, 90, "every service is CRITICAL once", 1)
        # A doubled or a missed change breaks the chain of statuses of its target.
        last: dict[str, str] = {}
        for event in events():
            assert event["prevStatus"] == last.get(event["type"], "HEALTHY"), event
            last[event["type"]] = event["status"]
        versions = [(event["epoch"], event["sequence"]) for event in chain.events()]
        assert versions == sorted(set(versions)), "versions only grow, whoever leads"
