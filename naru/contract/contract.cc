#include "naru/contract/contract.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <map>

#include "core/otlp/build.h"
#include "core/program/service.h"
#include "prepper/bootstrap/mappings.h"
#include "prepper/contract/strict_mapping.h"
#include "prepper/pipeline/pipeline.h"
#include "prepper/process/offline_encoder.h"
#include "prepper/processors/enrichment.h"
#include "prepper/program_config.h"

namespace naru {
namespace {

using prepper::Contract;
using prepper::StrictMapping;

// A sample is a line: a JSON object is the attributes of a log record, anything else its body.
constexpr std::string_view kSamplePipeline =
    "name: sample\nprocessors: [{json: {keep: false, on_error: ignore, flatten: false}}]\n";
constexpr std::chrono::milliseconds kTimeout{30'000};

// Turns samples into documents under one contract.
class Samples {
 public:
  explicit Samples(std::shared_ptr<const Contract> contract)
      : contract_(std::move(contract)), encoder_(pipelines(), [this](otlp::Signal) { return contract_; }) {}

  prepper::OfflineEncoder::Output encode(std::string_view line) {
    const UnixNanos now = wall_now();
    otlp::LogsBuilder builder;
    builder.begin_resource({});
    builder.begin_scope({}, 0);
    builder.add(now, now, line);
    return encoder_.encode(otlp::Signal::kLogs, builder.take(), now);
  }
  const Contract& contract() const { return *contract_; }

 private:
  static std::shared_ptr<const prepper::PipelineSet> pipelines() {
    const prepper::PipelineSet::File file{"sample.yaml", std::string(kSamplePipeline)};
    return prepper::PipelineSet::compile({&file, 1}, std::make_shared<prepper::EnrichmentStore>()).value();
  }
  std::shared_ptr<const Contract> contract_;
  prepper::OfflineEncoder encoder_;
};

// Why an encoder's counters moved, in the words of docs/formats/documents.md.
std::map<std::string, std::uint64_t> reasons_of(const prepper::EncodeStats& stats) {
  std::map<std::string, std::uint64_t> out;
  const auto note = [&](const char* reason, std::uint64_t n) {
    if (n > 0) {
      out[reason] += n;
    }
  };
  note("wrong type for its promoted field; stays in attributes", stats.refused_type);
  note("too long for its promoted field; stays in attributes", stats.refused_length);
  note("cut to the limit of a term or a name (naru.cut_leaves)", stats.cut_leaves);
  note("too many leaves; the rest is one text (naru.overflow)", stats.overflowed_bags);
  note("invalid UTF-8 replaced; the original is kept beside", stats.invalid_utf8);
  note("time out of range; the original is kept as naru.original_time", stats.time_out_of_range);
  return out;
}

// Which of a sample's attributes get a field of their own, and why others do not.
void explain_fields(std::string_view line, const Contract& contract) {
  simdjson::dom::parser parser;
  simdjson::dom::object members;
  if (parser.parse(line.data(), line.size()).get_object().get(members) != simdjson::SUCCESS) {
    fmt::print("  the line is no JSON object: it is the body of the record, a text\n");
    return;
  }
  for (const auto& [name, value] : members) {
    const std::string text = simdjson::minify(value).substr(0, 80);
    const int slot = contract.find(name);
    if (slot < 0) {
      fmt::print("  {} = {}: the mapping has no field for it; it goes into the flat_object `attributes`\n",
                 name, text);
      continue;
    }
    otlp::AnyValue any;
    std::string_view string;
    double real = 0;
    std::int64_t integer = 0;
    bool truth = false;
    if (value.get(string) == simdjson::SUCCESS) {
      any = prepper::text_value(string);
    } else if (value.get(integer) == simdjson::SUCCESS) {
      any = prepper::int_value(integer);
    } else if (value.get(truth) == simdjson::SUCCESS) {
      any = prepper::bool_value(truth);
    } else if (value.get(real) == simdjson::SUCCESS) {
      any = prepper::real_value(real);
    } else {
      any.kind = otlp::AnyValue::Kind::kMap;
    }
    prepper::JsonOut out;
    const Contract::Slot& field = contract.slots()[static_cast<std::size_t>(slot)];
    const prepper::Refusal refusal = write_promoted(out, field, any);
    const std::string_view member = std::string_view(field.member).substr(2, field.member.size() - 4);
    const std::string_view type = prepper::to_string(field.type);
    switch (refusal) {
      case prepper::Refusal::kNone:
        fmt::print("  {} = {}: also becomes {} ({}): {}\n", name, text, member, type,
                   out.view().substr(field.member.size()));
        break;
      case prepper::Refusal::kWrongType:
        fmt::print("  {} = {}: no {} for {}; stays in `attributes` only\n", name, text, type, member);
        break;
      case prepper::Refusal::kTooLong:
        fmt::print("  {} = {}: too long for {} ({}); stays in `attributes` only\n", name, text, member, type);
        break;
    }
  }
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  return in.good() || in.eof()
             ? Result<std::string>(text)
             : fail(ErrorCode::kInvalidArgument, fmt::format("{} cannot be read; check the path", path));
}

Result<bool> explain(const ContractOptions& options) {
  NARU_TRY(const std::string text, read_text(options.file));
  NARU_TRY(const prepper::Mappings mappings, prepper::load_mappings(options.mappings_dir));
  NARU_TRY(const StrictMapping mapping, StrictMapping::parse(text));
  NARU_TRY(auto contract, Contract::compile(text, mappings.promoted));
  bool good = true;
  for (const std::string& reason : mapping.forbidden()) {
    fmt::print("{}: {}\n", options.file, reason);
    good = false;
  }
  Samples samples(std::move(contract));
  std::map<std::string, std::uint64_t> totals;
  std::size_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    fmt::print("sample {}:\n", ++number);
    explain_fields(line, samples.contract());
    const auto result = samples.encode(line);
    for (const auto& [reason, n] : reasons_of(result.stats)) {
      fmt::print("  {}: {}\n", n, reason);
      totals[reason] += n;
    }
    for (const std::string& letter : result.dead_letters) {
      fmt::print("  dead letter: {}\n", letter);
    }
    for (const auto& document : result.documents) {
      fmt::print("  document: {}\n", document.json);
      for (const std::string& refusal : mapping.refusals(document.json)) {
        fmt::print("  OpenSearch would refuse it: {}\n", refusal);
        good = false;
      }
    }
  }
  fmt::print("{} samples, {} fields in the mapping\n", number, mapping.fields());
  for (const auto& [reason, n] : totals) {
    fmt::print("{:>8} {}\n", n, reason);
  }
  return good;
}

// The live indices of one signal, and what each is unlike the declared template.
Result<bool> compare_cluster(net::HttpTransport& opensearch, const prepper::DeclaredTemplate& declared,
                             const StrictMapping& wanted) {
  const auto get = [&](std::string target) {
    net::HttpRequest request;
    request.method = "GET";
    request.target = std::move(target);
    return opensearch.exchange(std::move(request), kTimeout);
  };
  bool good = true;
  const auto report = [&](const std::string& what, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      fmt::print("{}: {}\n", what, line);
      good = false;
    }
  };
  NARU_TRY(const net::HttpResponse there, get("/_index_template/" + declared.name));
  if (there.status != 200) {
    fmt::print("template {}: the cluster does not have it ({}); run `naru bootstrap --apply`\n",
               declared.name, there.status);
    return false;
  }
  simdjson::dom::parser parser;
  simdjson::dom::element template_there;
  if (parser.parse(there.body).at_pointer("/index_templates/0/index_template").get(template_there) !=
      simdjson::SUCCESS) {
    return fail(ErrorCode::kInternal, "GET _index_template/" + declared.name + " has an unknown form");
  }
  NARU_TRY(const StrictMapping in_cluster, StrictMapping::parse(simdjson::minify(template_there)));
  report("template " + declared.name + " (on disk, in the cluster)", wanted.differences(in_cluster));
  NARU_TRY(const net::HttpResponse live,
           get(fmt::format("/{}*/_mapping", prepper::index_prefix(declared.signal))));
  simdjson::dom::object indices;
  if (live.status != 200 || parser.parse(live.body).get_object().get(indices) != simdjson::SUCCESS) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("reading live mappings: OpenSearch answered {}", live.status));
  }
  std::size_t count = 0;
  for (const auto& [name, index] : indices) {
    NARU_TRY(const StrictMapping mapping, StrictMapping::parse(simdjson::minify(index)));
    report("index " + std::string(name), mapping.forbidden());
    report("index " + std::string(name) + " (on disk, live)", wanted.differences(mapping));
    ++count;
  }
  fmt::print("{}: {} live indices compared\n", declared.name, count);
  return good;
}

Result<bool> check(const ContractOptions& options) {
  NARU_TRY(const prepper::Mappings mappings, prepper::load_mappings(options.mappings_dir));
  std::unique_ptr<net::HttpTransport> opensearch;
  if (!options.config.empty()) {
    NARU_TRY(const auto config, prepper::load_program_config(options.config));
    NARU_TRY(const auto access, prepper::opensearch_access(config.opensearch));
    opensearch = access.any();
  }
  bool good = true;
  for (const prepper::DeclaredTemplate& declared : mappings.templates) {
    NARU_TRY(const StrictMapping mapping, StrictMapping::parse(declared.text));
    if (declared.signal == otlp::Signal::kLogs) {
      Samples samples(mappings.contracts.at(declared.signal));
      std::size_t lines = 0, refused = 0;
      std::map<std::string, std::uint64_t> totals;
      for (const std::string& path : options.corpus) {
        NARU_TRY(const std::string text, read_text(path));
        for (std::string_view rest = text; !rest.empty();) {
          const std::size_t end = std::min(rest.find('\n'), rest.size());
          const auto result = samples.encode(rest.substr(0, end));
          rest.remove_prefix(std::min(end + 1, rest.size()));
          ++lines;
          for (const auto& [reason, n] : reasons_of(result.stats)) {
            totals[reason] += n;
          }
          for (const auto& document : result.documents) {
            for (const std::string& refusal : mapping.refusals(document.json)) {
              fmt::print("{}:{}: OpenSearch would refuse it: {}\n", path, lines, refusal);
              ++refused;
            }
          }
        }
      }
      if (!options.corpus.empty()) {
        fmt::print("{} records, {} refusals\n", lines, refused);
        for (const auto& [reason, n] : totals) {
          fmt::print("{:>8} {}\n", n, reason);
        }
      }
      good = good && refused == 0;
    }
    if (opensearch != nullptr) {
      NARU_TRY(const bool same, compare_cluster(*opensearch, declared, mapping));
      good = good && same;
    }
  }
  fmt::print("{}\n", good ? "good" : "not as declared");
  return good;
}

}  // namespace

void add_flags(CLI::App& app, ContractOptions& options) {
  app.require_subcommand(1);
  CLI::App* explain_verb = app.add_subcommand("explain",
                                              "read sample records (a line each: a JSON object of "
                                              "attributes, or a body) and show what becomes of them");
  explain_verb->add_option("file", options.file, "index template or live mapping (JSON)")->required();
  explain_verb->add_option("--mappings", options.mappings_dir,
                           "directory with promoted.yaml (default: the program's)");
  explain_verb->callback([&options] { options.action = ContractOptions::Action::kExplain; });
  CLI::App* check_verb = app.add_subcommand(
      "check",
      "run a corpus against the templates, and compare templates and live indices of a cluster with them");
  check_verb->add_option("--mappings", options.mappings_dir,
                         "directory of index templates (default: the program's)");
  check_verb->add_option("--corpus", options.corpus, "files of sample records, as `explain` reads them");
  check_verb->add_option("--config", options.config, "the prepper's configuration: its cluster is compared");
  check_verb->callback([&options] { options.action = ContractOptions::Action::kCheck; });
}

int run_contract(const ContractOptions& options) {
  const Result<bool> good =
      options.action == ContractOptions::Action::kExplain ? explain(options) : check(options);
  if (!good) {
    fmt::print(stderr, "naru contract: {}\n", good.error().message());
    return program::exit_code(good.error());
  }
  return *good ? program::kExitDone : program::kExitFailure;
}

}  // namespace naru
