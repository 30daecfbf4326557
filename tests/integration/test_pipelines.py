"""Pipelines as their users meet them: golden cases, reference pages, tap, reload, and hostile records."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fault.hostile import attack
from support.index import Index
from support.naru import Program, binary, eventually, run

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "config" / "pipelines"
LISTENERS = [f"--{name}=127.0.0.1:0" for name in ("http", "store", "otlp-grpc", "otlp-http", "syslog", "admin")]


class TestGoldenCases:
    def test_every_ready_pipeline_passes_and_has_cases(self) -> None:
        done = run("naru", "test", str(PIPELINES))
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.fullmatch(r"[0-9]+ cases, 0 failed", done.stdout.splitlines()[-1])
        for path in PIPELINES.glob("*.yaml"):
            assert path.name.endswith(".test.yaml") or path.with_suffix("").with_suffix(".test.yaml").exists(), path

    def test_a_wrong_expectation_fails_and_shows_both(self, tmp_path: Path) -> None:
        (tmp_path / "p.yaml").write_text("name: p\nprocessors:\n  - set: {field: body, value: new}\n")
        (tmp_path / "p.test.yaml").write_text("cases:\n  - name: one\n    input: [old]\n    documents: ['{\"body\":\"old\"}']\n")
        done = run("naru", "test", str(tmp_path))
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1] == "1 cases, 1 failed"
        assert 'documents[0] - {"body":"old"}' in done.stdout and '"body":"new"' in done.stdout
        assert run("naru", "test", str(tmp_path), "--update").returncode == 0
        assert run("naru", "test", str(tmp_path / "p.yaml")).stdout.splitlines()[-1] == "1 cases, 0 failed"

    def test_bad_arguments_are_usage_errors(self, tmp_path: Path) -> None:
        for arguments in ([str(tmp_path)], [str(tmp_path / "absent.yaml")], []):
            done = run("naru", "test", *arguments)
            assert done.returncode == 2 and done.stderr, arguments


    def test_naru_up_refuses_pipelines_before_it_makes_anything(self, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "a.yaml").write_text("name: x\nprocessors: [{jsn: {}}]\n")
        for directory in ("absent", "p"):
            done = run("naru", "up", "--data", str(tmp_path / "data"), "--pipelines", str(tmp_path / directory), *LISTENERS)
            assert done.returncode == 2 and directory in done.stderr
            assert not (tmp_path / "data").exists()


class TestPages:
    def test_the_reference_is_what_the_program_prints(self) -> None:
        assert run("naru", "processors").stdout == (ROOT / "docs" / "processors.md").read_text()
        assert run("naru", "processors", "nope").returncode == 2

    def test_every_example_compiles(self, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "processors.md").read_text()
        (tmp_path / "services.csv").write_text("name,team\na,b\n")
        examples = re.findall(r"```yaml\n(- .*)\n```", page)
        assert len(examples) == page.count("\n## ") - 1
        for example in examples:
            if "geoip" in example:
                continue  # MaxMind's file is not ours to bring; the unit tests write one
            path = tmp_path / "p.yaml"
            path.write_text(f"name: p\nprocessors:\n  {example}\n")
            done = run("naru", "check", "--as", "pipeline", str(path))
            assert done.returncode == 0, f"{example}\n{done.stderr}"


class TestContract:
    def test_the_corpus_fits_the_templates(self) -> None:
        done = run("naru", "contract", "check", "--corpus", str(ROOT / "tests" / "support" / "contract_corpus.ndjson"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^[0-9]+ records, 0 refusals$", done.stdout, re.M)

    def explain(self, mapping: Path, samples: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([binary("naru"), "contract", "explain", str(mapping)], input=samples, text=True, capture_output=True, timeout=60)

    def test_explain_names_what_becomes_of_each_attribute(self) -> None:
        done = self.explain(ROOT / "config" / "mappings" / "logs-otel-v1.json", '{"http.response.status_code":"many","x":1,"url.path":"/a"}\n')
        assert done.returncode == 0
        assert 'http.response.status_code = "many": no long for http_response_status_code' in done.stdout
        assert "x = 1: the mapping has no field for it" in done.stdout
        assert 'url.path = "/a": also becomes url_path (keyword)' in done.stdout

    def test_fielddata_is_refused_with_the_reason(self, tmp_path: Path) -> None:
        mapping = tmp_path / "m.json"
        mapping.write_text('{"mappings":{"dynamic":"strict","properties":{"a":{"type":"text","fielddata":true}}}}')
        done = self.explain(mapping, "")
        assert done.returncode == 1 and "a: fielddata: true loads every term" in done.stdout


def test_tap_and_reload_while_records_flow(tmp_path: Path) -> None:
    """`naru up` with a pipeline: live records are shown redacted, and a changed pipeline takes over without loss."""
    logs, pipelines = tmp_path / "logs", tmp_path / "pipelines"
    logs.mkdir()
    pipelines.mkdir()
    text = "name: web\nprocessors:\n  - regex: {name: user, pattern: 'user=(?P<user>\\S+)'}\n  - redact: {kinds: [email]}\nroutes: [{dataset: before}]\n"
    (pipelines / "web.yaml").write_text(text)
    arguments = ["up", "--data", str(tmp_path / "data"), "--file", str(logs / "*.log"), "--pipelines", str(pipelines), *LISTENERS]
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with (logs / "a.log").open("a") as out:
            for _ in range(count):
                out.write(f"{written} user=alice@example.com\n")
                written += 1

    with Program("naru", arguments, tmp_path) as program:
        admin, store = program.endpoints["admin"], program.url("store")
        write(10)
        with subprocess.Popen([binary("naru"), "tap", "web.user", "--admin", admin, "--count", "3", "--when", "not contains(body, '7 ')"],
                              stdout=subprocess.PIPE, text=True) as tap:  # fmt: skip
            eventually(lambda: write(1) or tap.poll() is not None, 30, "three records shown", every=0.1)
            shown = [json.loads(line) for line in (tap.stdout or []) if line.strip()]
        assert tap.returncode == 0 and len(shown) == 3
        for record in shown:
            assert record["outcome"] == "done"
            assert "user" not in record["before"]["attributes"] and record["after"]["attributes"]["user"] == "[email]"
            assert "alice" not in json.dumps(record)
        assert run("naru", "tap", "web.none", "--admin", admin).returncode == 2
        assert run("naru", "tap", "none", "--admin", admin).returncode == 2
        assert run("naru", "tap", "web", "--when", "bdy == 1", "--admin", admin).returncode == 2

        (pipelines / "web.yaml").write_text(text.replace("before", "after_it"))
        eventually(lambda: write(1) or program.metric("naru_pipelines_reloads_total") == 1, 30, "the changed pipeline is in", every=0.1)
        write(10)
        eventually(lambda: Index(store, "logs-otel-v1-*").count() == written, 30, f"{written} documents")
        assert Index(store, "logs-otel-v1-after_it-*").count() >= 10
        (pipelines / "web.yaml").write_text("name: web\nprocessors: [{nope: {}}]\n")
        eventually(lambda: program.metric("naru_pipelines_refused_total") == 1, 30, "the broken pipeline is refused")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(program.url("admin") + "/readyz", timeout=10)
        write(5)
        eventually(lambda: Index(store, "logs-otel-v1-*").count() == written, 30, f"{written} documents")


def test_hostile_records_never_break_a_mapping(tmp_path: Path) -> None:
    """The short form of `./dev hostile`."""
    verdict = attack(tmp_path, seconds=15, seed=7, records_per_second=300)
    assert verdict.good, verdict
