// naru: the whole platform in one process, and the operator's verbs.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "core/program/flags.h"
#include "core/program/service.h"
#include "core/program/stop_signals.h"
#include "naru/bootstrap/bootstrap.h"
#include "naru/check/check.h"
#include "naru/contract/contract.h"
#include "naru/control/control.h"
#include "naru/deadletter/deadletter.h"
#include "naru/doctor/doctor.h"
#include "naru/kafka/kafka.h"
#include "naru/ledger/ledger.h"
#include "naru/lifecycle/lifecycle.h"
#include "naru/processors/processors.h"
#include "naru/rules/rules.h"
#include "naru/spool/spool.h"
#include "naru/tap/tap.h"
#include "naru/test/test.h"
#include "naru/up/up.h"

int main(int argc, char** argv) {
  using namespace naru;
  const program::StopSignals signals;
  CLI::App app("Carries logs, metrics and traces to a searchable store, and loses none.", "naru");

  UpOptions up;
  CLI::App* up_verb =
      app.add_subcommand("up", "agent, collector, bus, prepper, store and console in one process");
  add_flags(*up_verb, up);

  CheckOptions check;
  CLI::App* check_verb = app.add_subcommand("check", "validate configuration files, every error in one pass");
  add_flags(*check_verb, check);

  BootstrapOptions bootstrap;
  CLI::App* bootstrap_verb =
      app.add_subcommand("bootstrap", "install index templates, cluster settings and Kafka topics");
  add_flags(*bootstrap_verb, bootstrap);

  DoctorOptions doctor;
  CLI::App* doctor_verb =
      app.add_subcommand("doctor", "what is not as it should be in OpenSearch and Kafka, and how to mend it");
  add_flags(*doctor_verb, doctor);

  LifecycleOptions lifecycle;
  CLI::App* lifecycle_verb =
      app.add_subcommand("lifecycle", "where each index stands, and what is done with it next");
  add_flags(*lifecycle_verb, lifecycle);

  LedgerOptions ledger;
  CLI::App* ledger_verb =
      app.add_subcommand("ledger", "whether every record is accounted for, stage by stage");
  add_flags(*ledger_verb, ledger);

  SpoolOptions spool;
  CLI::App* spool_verb = app.add_subcommand("spool", "look into, check or export the logs on disk");
  add_flags(*spool_verb, spool);

  DeadLetterOptions deadletter;
  CLI::App* deadletter_verb =
      app.add_subcommand("deadletter", "look at the records that were refused, and send them again");
  add_flags(*deadletter_verb, deadletter);

  TestOptions test;
  CLI::App* test_verb = app.add_subcommand("test", "run the golden cases of pipelines");
  add_flags(*test_verb, test);

  ContractOptions contract;
  CLI::App* contract_verb = app.add_subcommand(
      "contract", "what the mapping contract makes of records, and whether mappings are as declared");
  add_flags(*contract_verb, contract);

  TapOptions tap;
  CLI::App* tap_verb =
      app.add_subcommand("tap", "live records before and after a step of a running pipeline");
  add_flags(*tap_verb, tap);

  ProcessorsOptions processors;
  CLI::App* processors_verb =
      app.add_subcommand("processors", "the reference of the processors of pipelines");
  add_flags(*processors_verb, processors);

  RulesOptions rules;
  CLI::App* rules_verb = app.add_subcommand("rules", "test alert rules on time lines, or on what is stored");
  add_flags(*rules_verb, rules);

  ControlOptions control;
  CLI::App* status_verb = app.add_subcommand("status", "which targets are well, and a person's word on it");
  add_status_flags(*status_verb, control);
  CLI::App* route_verb =
      app.add_subcommand("route", "which route of a target is in use, and a person's word on it");
  add_route_flags(*route_verb, control);
  CLI::App* limit_verb = app.add_subcommand("limit", "the rates of the shared limiters");
  add_limit_flags(*limit_verb, control);

  KafkaOptions kafka;
  ControlOptions kafka_control;
  CLI::App* kafka_verb = app.add_subcommand(
      "kafka", "move from one Kafka cluster to another: by shares, compared, with offsets");
  add_flags(*kafka_verb, kafka, kafka_control);

  if (const std::optional<int> ended = program::parse_flags(app, argc, argv)) {
    return *ended;
  }
  if (*up_verb) {
    return run_up(up, signals);
  }
  if (*check_verb) {
    return run_check(check);
  }
  if (*bootstrap_verb) {
    return run_bootstrap(bootstrap);
  }
  if (*doctor_verb) {
    return run_doctor(doctor);
  }
  if (*lifecycle_verb) {
    return run_lifecycle(lifecycle);
  }
  if (*ledger_verb) {
    return run_ledger(ledger);
  }
  if (*spool_verb) {
    return run_spool(spool);
  }
  if (*deadletter_verb) {
    return run_deadletter(deadletter, signals);
  }
  if (*processors_verb) {
    return run_processors(processors);
  }
  if (*tap_verb) {
    return run_tap(tap, signals);
  }
  if (*contract_verb) {
    return run_contract(contract);
  }
  if (*rules_verb) {
    return run_rules(rules);
  }
  if (*status_verb || *route_verb || *limit_verb) {
    return run_control(control);
  }
  if (*kafka_verb) {
    return run_kafka(kafka, kafka_control);
  }
  if (*test_verb) {
    return run_test(test);
  }
  // Not left to require_subcommand(): that says the same to an unknown verb and does not name it.
  fmt::print(
      stderr,
      "naru: say what to do: up, check, bootstrap, lifecycle, doctor, ledger, spool, deadletter, test, "
      "tap, contract, processors, rules, status, route, limit or kafka; naru --help explains them\n");
  return program::kExitUsage;
}
