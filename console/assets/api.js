// The search API of OpenSearch, below /api/ of the page's own origin.

// An integer that a double cannot hold, kept as its digits.
export class Long {
  constructor(digits) {
    this.digits = digits;
  }
  toString() {
    return this.digits;
  }
  toJSON() {
    return JSON.rawJSON ? JSON.rawJSON(this.digits) : this.digits;
  }
}

const MARK = "\u0000n";
const STRING_OR_LONG = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

// Nanosecond times are 19 digits: JSON.parse alone would round them.
export function parseJson(text) {
  const marked = text.replace(STRING_OR_LONG, (token) => (token[0] === '"' ? token : `"\\u0000n${token}"`));
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? new Long(value.slice(MARK.length)) : value);
}

// `status` 0: no answer at all.
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function reasonOf(answer, status) {
  const error = answer?.error;
  if (typeof error === "string") return error;
  const cause = error?.root_cause?.[0] ?? error;
  const deepest = cause?.caused_by?.reason ?? cause?.reason ?? error?.reason;
  return deepest ? String(deepest) : `The search service answered ${status}.`;
}

async function post(path, bodyText, signal) {
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: bodyText, signal,
    });
  } catch (failure) {
    if (signal?.aborted) throw failure;
    throw new ApiError(0, "Naru does not answer. Is it still running?");
  }
  const text = await response.text();
  let answer;
  try {
    answer = parseJson(text);
  } catch {
    throw new ApiError(response.status, text.trim() || `The search service answered ${response.status}.`);
  }
  if (!response.ok) throw new ApiError(response.status, reasonOf(answer, response.status));
  return answer;
}

function condition({ field, value }, kind) {
  return field === kind.textField && kind.index === "logs"
    ? { match_phrase: { [field]: value } } : { term: { [field]: { value } } };
}

// The query of a state over [from, to) in milliseconds; to may be null.
export function queryOf(kind, state, from, to) {
  const filter = [];
  if (from !== null) {
    const range = { gte: new Date(from).toISOString() };
    if (to !== null) range.lt = new Date(to).toISOString();
    filter.push({ range: { "@timestamp": range } });
  }
  const not = [];
  for (const chip of state.filters) (chip.not ? not : filter).push(condition(chip, kind));
  const bool = { filter };
  if (not.length > 0) bool.must_not = not;
  if (state.q.trim() !== "") {
    bool.must = [{
      query_string: { query: state.q.trim(), default_field: kind.textField, default_operator: "AND" },
    }];
  }
  return { bool };
}

const SORT = [{ "@timestamp": { order: "desc" } }, { _id: { order: "desc" } }];
const rawJson = (value) => (value instanceof Long ? value.digits : JSON.stringify(value));

// The search of a query, with its time range: the console asks no more indices than that needs.
function target(kind, query) {
  const range = query.bool.filter.map((part) => part.range?.["@timestamp"]).find((found) => found);
  if (!range) return `${kind.index}/_search`;
  const to = range.lt ? `&to=${Date.parse(range.lt)}` : "";
  return `${kind.index}/_search?from=${Date.parse(range.gte)}${to}`;
}

// `after` is the `sort` of the last hit already there, or null.
export async function fetchRows(kind, query, size, after, signal) {
  let text = JSON.stringify({ query, size, sort: SORT, search_after: null });
  text = after === null ? text.replace(/,"search_after":null}$/, "}")
    : text.replace(/"search_after":null}$/, () => `"search_after":[${after.map(rawJson).join(",")}]}`);
  const answer = await post(target(kind, query), text, signal);
  return { hits: answer.hits?.hits ?? [], took: Number(answer.took ?? 0) };
}

// Histogram, facets and the exact count. {total, buckets: [{key, count, levels: Map}], facets: Map}
export async function fetchOverview(kind, query, interval, signal) {
  const time = { date_histogram: { field: "@timestamp", fixed_interval: interval, min_doc_count: 1 } };
  if (kind.stack) time.aggs = { level: { terms: { field: kind.stack.field, size: 32 } } };
  const aggs = { time };
  kind.facets.forEach(([field], i) => {
    aggs[`facet${i}`] = { terms: { field, size: 10 } };
  });
  const answer = await post(target(kind, query),
    JSON.stringify({ query, size: 0, track_total_hits: true, aggs }), signal);
  const found = answer.aggregations ?? {};
  const buckets = (found.time?.buckets ?? []).map((bucket) => {
    const levels = new Map();
    let rest = Number(bucket.doc_count);
    for (const part of bucket.level?.buckets ?? []) {
      const level = kind.stack.levelOf(part.key);
      levels.set(level, (levels.get(level) ?? 0) + Number(part.doc_count));
      rest -= Number(part.doc_count);
    }
    if (rest > 0) {
      const last = kind.stack?.levels.at(-1).key ?? "info";
      levels.set(last, (levels.get(last) ?? 0) + rest);
    }
    return { key: Number(bucket.key), count: Number(bucket.doc_count), levels };
  });
  const facets = new Map(kind.facets.map(([field], i) => [field, found[`facet${i}`]?.buckets ?? []]));
  return { total: Number(answer.hits?.total?.value ?? 0), buckets, facets };
}

// The newest record that matches without regard to time, or null.
export async function fetchNewest(kind, state, signal) {
  const { hits } = await fetchRows(kind, queryOf(kind, state, null, null), 1, null, signal);
  return hits.length > 0 ? Date.parse(hits[0]._source["@timestamp"]) : null;
}
