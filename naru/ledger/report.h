// The verdict of the ledger as people and programs read it. Pure.
#pragma once

#include <span>
#include <string>

#include "core/telemetry/ledger_judge.h"

namespace naru {

using telemetry::LedgerCounts;
using telemetry::LedgerJudge;

// One sentence naming the stages that do not balance and what to look at; empty when all do.
std::string explain(std::span<const LedgerJudge::Row> rows);
// A table for people, and one JSON object a line.
std::string ledger_table(std::span<const LedgerJudge::Row> rows);
std::string ledger_json(std::span<const LedgerJudge::Row> rows);

}  // namespace naru
