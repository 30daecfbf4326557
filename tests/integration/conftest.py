"""The ground of the integration tests: real servers, started once a session.

A component that is missing or does not start fails every test that needs it; nothing is skipped.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support.path_cases")

from support.services.kafka import KafkaCluster
from support.services.opensearch import OpenSearchCluster, hot, warm
from support.services.services import Services


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """One Kafka broker and two OpenSearch nodes, hot and warm, started side by side.

    Does not clean between tests: use topics, groups and data sets of your own. Its directory is
    removed at the end, also after a failure; a failed start carries the logs in its message.
    """
    directory = Path(tempfile.mkdtemp(prefix="naru-services-"))
    try:
        with Services(directory, kafka=1, opensearch=[hot(), warm()]) as running:
            yield running
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(services: Services) -> KafkaCluster:
    """The real Kafka. Topics are created on first use with 4 partitions."""
    assert services.kafka is not None
    return services.kafka


@pytest.fixture(scope="session")
def opensearch(services: Services) -> OpenSearchCluster:
    """The real OpenSearch: node 1 hot, node 2 warm. Installs no template."""
    assert services.opensearch is not None
    return services.opensearch
