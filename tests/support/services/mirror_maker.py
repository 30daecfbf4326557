"""MirrorMaker 2, from one cluster to another: topics under their own names, and checkpoints of groups."""

from __future__ import annotations

from pathlib import Path

from .jars import LOG4J_CONFIG, mirror_maker_classpath, need
from .process import ServerProcess, free_port


class MirrorMaker(ServerProcess):
    """Mirrors `topics` (a regular expression) from the cluster `main` to the cluster `sub`."""

    def __init__(self, directory: Path, main: str, sub: str, topics: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        copies = {
            f"{what}.replication.factor": "1"
            for what in ("checkpoints.topic", "heartbeats.topic", "offset-syncs.topic", "config.storage", "offset.storage", "status.storage")
        }
        properties = {
            "clusters": "main, sub",
            "main.bootstrap.servers": main,
            "sub.bootstrap.servers": sub,
            "main->sub.enabled": "true",
            "sub->main.enabled": "false",
            "main->sub.topics": topics,
            "main->sub.groups": ".*",
            "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
            "replication.factor": "1",
            "emit.checkpoints.interval.seconds": "1",
            "refresh.topics.interval.seconds": "1",
            "refresh.groups.interval.seconds": "1",
            "emit.heartbeats.enabled": "false",
            "offset.lag.max": "0",
            "listeners": f"http://127.0.0.1:{free_port()}",
        } | copies
        config = directory / "mirror-maker.properties"
        config.write_text("".join(f"{key} = {value}\n" for key, value in properties.items()))
        super().__init__(
            "mirror-maker",
            [
                need("java", "openjdk-17-jre-headless"), "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j2.configurationFile={LOG4J_CONFIG}",
                "-cp", mirror_maker_classpath(), "org.apache.kafka.connect.mirror.MirrorMaker", str(config),
            ],
            directory / "mirror-maker.log",
            cwd=directory,
        )
