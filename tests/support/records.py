"""Log records as an agent sends them: stamped with a source and a position, so that the same arguments give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

_SOURCE_BYTES = 16


def log_request(source: str, dataset: str, bodies: Sequence[str], time_ns: int, position: int = 0) -> bytes:
    """An export request of logs of one data set, all of one time; `position`: of the first in its source."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.append(KeyValue(key="data_stream.dataset", value=AnyValue(string_value=dataset)))
    logs = group.scope_logs.add()
    stamp = source.ljust(_SOURCE_BYTES, "-")[:_SOURCE_BYTES].encode()
    logs.scope.attributes.append(KeyValue(key="naru.source", value=AnyValue(bytes_value=stamp)))
    logs.scope.attributes.append(KeyValue(key="naru.base", value=AnyValue(int_value=position)))
    for body in bodies:
        logs.log_records.add(
            time_unix_nano=time_ns, observed_time_unix_nano=time_ns, body=AnyValue(string_value=body)
        )
    return request.SerializeToString()
