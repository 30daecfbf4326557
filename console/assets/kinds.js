// What each kind of data is called, which fields its rows, facets and histogram show.

const SEVERITY_LEVELS = [
  { key: "error", name: "Error", from: 17 },
  { key: "warn", name: "Warn", from: 13 },
  { key: "info", name: "Info", from: 9 },
  { key: "debug", name: "Debug", from: 1 },
  { key: "none", name: "Unset", from: -Infinity },
];

export const severityLevel = (number) => SEVERITY_LEVELS.find((level) => Number(number ?? 0) >= level.from).key;

export function duration(nanos) {
  const value = Number(nanos);
  if (!Number.isFinite(value)) return "";
  for (const [size, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]]) {
    if (value >= size) return `${(value / size).toPrecision(3).replace(/\.?0+$/, "")} ${unit}`;
  }
  return `${value} ns`;
}

// The value at a dotted path; documents may hold a dotted name as one key at any depth (flat bags do).
export function valueAt(object, path) {
  if (object === null || typeof object !== "object") return undefined;
  if (path in object) return object[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const head = path.slice(0, dot);
    if (head in object) {
      const found = valueAt(object[head], path.slice(dot + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

const first = (source, ...paths) => {
  for (const path of paths) {
    const value = valueAt(source, path);
    if (value !== undefined && value !== null && value !== "") return String(value);
  }
  return "";
};

// Where a record comes from: its service, else the name of its file, else its host.
function origin(source) {
  const service = first(source, "service_name", "serviceName", "resource.attributes.service.name");
  const path = first(source, "log_file_path", "attributes.log.file.path", "resource.attributes.log.file.path");
  return service || path.slice(path.lastIndexOf("/") + 1) || first(source, "host_name", "resource.attributes.host.name");
}

function metricValue(source) {
  const value = first(source, "value", "sum", "count");
  const unit = first(source, "unit");
  return unit && unit !== "1" ? `${value} ${unit}` : value;
}

export const KINDS = {
  logs: {
    label: "Logs",
    one: "line", many: "lines",
    index: "logs",
    textField: "body",
    hint: "Search logs:  timeout   severity.text:ERROR   \"connection refused\" AND NOT healthz",
    facets: [["severity.text", "Severity"], ["service_name", "Service"], ["host_name", "Host"], ["log_file_path", "File"],
      ["http_response_status_code", "HTTP status"]],
    stack: {
      field: "severity.number",
      levels: SEVERITY_LEVELS.map(({ key, name }) => ({ key, name })),
      levelOf: severityLevel,
    },
    columns: [["level", "Level"], ["service", "Source"], ["text", "Message"]],
    row: (source) => ({
      level: severityLevel(valueAt(source, "severity.number")),
      levelText: first(source, "severity.text"),
      service: origin(source),
      text: first(source, "body", "eventName"),
    }),
    empty: [
      ["Follow a file", "naru up --file '/var/log/nginx/*.log' --from-start"],
      ["Send OpenTelemetry logs", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"],
      ["Send syslog", "logger --server 127.0.0.1 --port 5514 hello"],
    ],
  },
  traces: {
    label: "Traces",
    one: "span", many: "spans",
    index: "traces",
    textField: "name",
    hint: "Search spans:  name:\"GET /cart\"   serviceName:checkout AND status.code:2",
    facets: [["serviceName", "Service"], ["kind", "Kind"], ["status.code", "Status", { 0: "Unset", 1: "Ok", 2: "Error" }]],
    stack: {
      field: "status.code",
      levels: [{ key: "error", name: "Error" }, { key: "info", name: "Ok or unset" }],
      levelOf: (code) => (Number(code) === 2 ? "error" : "info"),
    },
    columns: [["duration", "Duration"], ["service", "Service"], ["text", "Span"]],
    row: (source) => ({
      level: Number(valueAt(source, "status.code")) === 2 ? "error" : "info",
      duration: duration(valueAt(source, "durationInNanos")),
      service: origin(source),
      text: [first(source, "name"), first(source, "status.message")].filter(Boolean).join("  "),
    }),
    empty: [["Send OpenTelemetry traces", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"]],
  },
  metrics: {
    label: "Metrics",
    one: "point", many: "points",
    index: "metrics",
    textField: "name",
    hint: "Search metric points:  name:http.server.request.duration AND serviceName:cart",
    facets: [["name", "Metric"], ["serviceName", "Service"], ["kind", "Kind"]],
    stack: null,
    columns: [["value", "Value"], ["service", "Service"], ["text", "Metric"]],
    row: (source) => ({
      level: "info",
      value: metricValue(source),
      service: origin(source),
      text: first(source, "name"),
    }),
    empty: [["Send OpenTelemetry metrics", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"]],
  },
};
