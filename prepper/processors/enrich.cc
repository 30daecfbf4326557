#include "prepper/processors/enrich.h"

#include <fmt/format.h>

#include <algorithm>

#include "prepper/processors/convert.h"
#include "prepper/processors/geo_database.h"
#include "prepper/processors/table.h"
#include "prepper/processors/text_processor.h"

namespace naru::prepper {
namespace {

class EnrichProcessor final : public Processor {
 public:
  struct Target {
    std::string column;
    std::uint32_t field;
  };
  EnrichProcessor(std::shared_ptr<EnrichmentSlot> table, std::uint32_t field, std::vector<Target> targets,
                  bool overwrite, bool ignore_missing)
      : table_(std::move(table)),
        field_(field),
        targets_(std::move(targets)),
        overwrite_(overwrite),
        ignore_missing_(ignore_missing) {}

  Outcome process(Event& event, Scratch& scratch) const override {
    const auto missing = [&](std::string_view why) {
      return ignore_missing_ ? Outcome::kDone : scratch.fail(why);
    };
    AnyValue key = event.get(field_);
    if (key.kind != AnyValue::Kind::kString) {
      const auto text = convert(key, Conversion::kText, event.arena());
      if (!text) {
        return missing("the field is missing");
      }
      key = *text;
    }
    const Table& table = scratch.tables.of<Table>(table_);
    const std::vector<AnyValue>* row = table.find(key.bytes);
    if (row == nullptr) {
      return missing("the table has no row for the field's value");
    }
    bool failed = false;
    for (const Target& target : targets_) {
      // Columns may stand in another order in the next version of the file.
      const auto column = std::ranges::find(table.columns(), target.column);
      const AnyValue value = column == table.columns().end()
                                 ? AnyValue{}
                                 : (*row)[static_cast<std::size_t>(column - table.columns().begin())];
      if (value.kind != AnyValue::Kind::kEmpty && (overwrite_ || !event.has(target.field))) {
        failed |= !event.set(target.field, value);
      }
    }
    return failed ? scratch.fail("a target cannot hold the table's value") : Outcome::kDone;
  }

 private:
  std::shared_ptr<EnrichmentSlot> table_;
  std::uint32_t field_;
  std::vector<Target> targets_;
  bool overwrite_, ignore_missing_;
};

class GeoIpProcessor final : public TextProcessor {
 public:
  GeoIpProcessor(std::uint32_t field, std::shared_ptr<EnrichmentSlot> database, std::string prefix,
                 bool ignore_missing)
      : TextProcessor(field),
        database_(std::move(database)),
        prefix_(std::move(prefix)),
        ignore_missing_(ignore_missing) {}

 protected:
  Outcome read(std::string_view text, Event& event, Scratch& scratch) const override {
    const auto& database = scratch.tables.of<GeoDatabase>(database_);
    const GeoDatabase::Found found = database.find(text, [&](std::string_view name, const AnyValue& value) {
      set_attribute(event, prefix_, name, value);
    });
    switch (found) {
      case GeoDatabase::Found::kYes: return Outcome::kDone;
      case GeoDatabase::Found::kNo:
        return ignore_missing_ ? Outcome::kDone : scratch.fail("the database does not know the address");
      case GeoDatabase::Found::kNoAddress: return scratch.fail("the text is no address");
    }
    return Outcome::kDone;
  }

 private:
  std::shared_ptr<EnrichmentSlot> database_;
  std::string prefix_;
  bool ignore_missing_;
};

// Relative to the pipeline's file.
std::string path_of(const std::string& file, const Builder& builder) {
  const bool relative = !file.starts_with('/') && !builder.directory().empty();
  return relative ? builder.directory() + "/" + file : file;
}

}  // namespace

void describe(config::Schema<GeoIpOptions>& s) {
  s.field("database", &GeoIpOptions::database,
          "MaxMind file (.mmdb: City, Country or ASN), relative to the pipeline's file; read again when it "
          "changes.")
      .required()
      .min(1);
  s.field("field", &GeoIpOptions::field, "Field with the address.").required().min(1);
  s.field("prefix", &GeoIpOptions::prefix,
          "Put before geo.country.iso_code, geo.country.name, geo.region.name, geo.locality.name, "
          "geo.postal_code, "
          "geo.location.lat, geo.location.lon, as.number and as.organization.name.");
  s.field("language", &GeoIpOptions::language, "Language of the names, as the file has them.");
  s.field("ignore_missing", &GeoIpOptions::ignore_missing,
          "false: an address that the file does not know is a failure.");
}

std::unique_ptr<Processor> build(const GeoIpOptions& options, Builder& builder) {
  const std::string path = path_of(options.database, builder);
  Result<std::shared_ptr<EnrichmentSlot>> slot = builder.tables().open(
      path, "geoip in " + options.language,
      [path, language = options.language] { return GeoDatabase::load(path, language); });
  if (!slot) {
    builder.error("database", slot.error().message());
    return nullptr;
  }
  return std::make_unique<GeoIpProcessor>(builder.field("field", options.field), std::move(*slot),
                                          options.prefix, options.ignore_missing);
}

void describe(config::Schema<EnrichOptions>& s) {
  s.field("table", &EnrichOptions::table,
          "File, .json (an array of objects, or objects by key) or CSV with a first row of names; relative "
          "to the "
          "pipeline's file. Read again when it changes; a broken one keeps the last good version and alarms.")
      .required()
      .min(1);
  s.field("column", &EnrichOptions::column,
          "Column that rows are found by; not needed for JSON objects by key.");
  s.field("field", &EnrichOptions::field, "Field whose value is looked up.").required().min(1);
  s.field("set", &EnrichOptions::set, "Columns to take, and the field that each goes to.")
      .required()
      .min(1)
      .max(64);
  s.field("overwrite", &EnrichOptions::overwrite, "false: a field that has a value already keeps it.");
  s.field("ignore_missing", &EnrichOptions::ignore_missing, "false: a value that has no row is a failure.");
}

std::unique_ptr<Processor> build(const EnrichOptions& options, Builder& builder) {
  const std::string path = path_of(options.table, builder);
  Result<std::shared_ptr<EnrichmentSlot>> slot =
      builder.tables().open(path, "table by " + options.column,
                            [path, column = options.column] { return Table::load(path, column); });
  if (!slot) {
    builder.error("table", slot.error().message());
    return nullptr;
  }
  const auto table = (*slot)->current();
  const std::vector<std::string>& columns = static_cast<const Table&>(*table).columns();
  std::vector<EnrichProcessor::Target> targets;
  for (const auto& [column, field] : options.set) {
    if (std::ranges::find(columns, column) == columns.end()) {
      builder.error("set", fmt::format("{} has no column '{}'", path, column));
    }
    targets.push_back({column, builder.target("set", field)});
  }
  return std::make_unique<EnrichProcessor>(std::move(*slot), builder.field("field", options.field),
                                           std::move(targets), options.overwrite, options.ignore_missing);
}

}  // namespace naru::prepper
