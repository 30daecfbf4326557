// Runs one record through the steps of a pipeline.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/otlp/build.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/process/json_out.h"
#include "prepper/processors/enrichment.h"

namespace naru::prepper {

inline constexpr UnixNanos kReceived = 1'767'322'800'000'000'000;  // 2026-01-02T03:00:00Z

// A value as a test writes it: "text", 7, 1.5, true, [..encoded..].
inline std::string shown(const AnyValue& value) {
  using Kind = AnyValue::Kind;
  switch (value.kind) {
    case Kind::kEmpty: return "";
    case Kind::kString: return "'" + std::string(value.bytes) + "'";
    case Kind::kBool: return value.boolean ? "true" : "false";
    case Kind::kInt: return std::to_string(value.integer);
    case Kind::kDouble: {
      JsonOut out;
      out.real(value.real);
      return std::string(out.view()) + "d";
    }
    case Kind::kArray: {
      std::string out = "[";
      otlp::Messages items(value.bytes, 1);
      while (items.next()) {
        AnyValue item;
        otlp::parse(items.bytes(), item);
        out += (out.size() > 1 ? "," : "") + shown(item);
      }
      return out + "]";
    }
    case Kind::kMap: {
      std::string out = "{";
      otlp::Attributes(value.bytes, 1).for_each([&](const otlp::KeyValue& entry) {
        AnyValue item;
        otlp::parse(entry.value, item);
        out += (out.size() > 1 ? "," : "") + std::string(entry.key) + ":" + shown(item);
      });
      return out + "}";
    }
    case Kind::kBytes: return "bytes";
  }
  return "?";
}

class Running : public IdentitySource {
 public:
  // `steps`: elements of `processors`, each line indented by two.
  explicit Running(const std::string& steps, const std::string& more = "",
                   const std::string& path = "test.yaml") {
    const PipelineSet::File file{path, "name: test\n" + more + "\nprocessors:\n" + steps};
    auto compiled = PipelineSet::compile({&file, 1}, tables);
    EXPECT_TRUE(compiled.has_value()) << (compiled ? "" : compiled.error().message());
    if (compiled) {
      set = *compiled;
      tally.assign(set->counters().size(), 0);
      event = std::make_unique<Event>(set->record_bytes_max());
      event->use(set->fields());
    }
    scratch.identities = this;
    scratch.now = kReceived;
  }

  RunOutcome run(const std::string& body) {
    std::string encoded;
    append_value(encoded, text_value(body));
    return run_encoded(encoded);
  }
  RunOutcome run_encoded(const std::string& body, const std::string& attributes = "") {
    record_ = std::make_unique<std::string>(attributes);
    body_ = std::make_unique<std::string>(body);
    otlp::LogRecord record;
    record.raw = *record_;
    record.body = *body_;
    record.has_body = true;
    record.has_attributes = !attributes.empty();
    record.observed_time = kReceived;
    EXPECT_TRUE(event->load(record));
    scratch.json.begin_record();
    scratch.tables.refresh();
    ++identity;
    return set->find("test")->run(*event, scratch, tally);
  }
  // "name=value" in order.
  std::vector<std::string> attributes() const {
    std::vector<std::string> out;
    for (const auto& entry : event->attributes()) {
      out.push_back(std::string(entry.key) + "=" + shown(entry.value));
    }
    return out;
  }
  std::string attribute(std::string_view name) const {
    const std::ptrdiff_t at = event->attributes().find(name, hash_name(name));
    return at < 0 ? "" : shown(event->attributes()[static_cast<std::size_t>(at)].value);
  }
  std::string error() const { return attribute(kErrorAttribute); }
  std::uint64_t counted(std::string_view what, std::string_view step = "") const {
    for (std::size_t i = 0; i < tally.size(); ++i) {
      if (set->counters()[i].what == what && set->counters()[i].step == step) {
        return tally[i];
      }
    }
    return 0;
  }
  std::uint64_t record_identity() override { return identity; }

  std::shared_ptr<EnrichmentStore> tables = std::make_shared<EnrichmentStore>();
  std::shared_ptr<const PipelineSet> set;
  std::unique_ptr<Event> event;
  Scratch scratch;
  PipelineTally tally;
  std::uint64_t identity = 0;

 private:
  std::unique_ptr<std::string> record_, body_;
};

// Every error line of a pipeline's text.
inline std::string errors_of(const std::string& text) {
  const PipelineSet::File file{"p.yaml", text};
  const auto compiled = PipelineSet::compile({&file, 1}, std::make_shared<EnrichmentStore>());
  return compiled ? "" : compiled.error().message();
}

}  // namespace naru::prepper
