// Takes the guarantee out of a program of Naru, to measure what it costs. Loaded with LD_PRELOAD by the rows
// `..._unacknowledged`: no write waits for the disk, and Kafka's producer waits for no broker (acks=0, not
// idempotent). The programs themselves refuse such settings, so the benchmark puts them below the programs.
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>

#include <string_view>

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int fsync(int) {
  return 0;
}
EXPORTED int fdatasync(int) {
  return 0;
}
EXPORTED int sync_file_range(int, long, long, unsigned) {
  return 0;
}

EXPORTED rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t* conf, const char* name, const char* value,
                                               char* error, size_t error_size) {
  using Set = decltype(&rd_kafka_conf_set);
  static const Set set = reinterpret_cast<Set>(::dlsym(RTLD_NEXT, "rd_kafka_conf_set"));
  const std::string_view key = name;
  if (key == "acks") {
    value = "0";
  } else if (key == "enable.idempotence") {
    value = "false";
  }
  return set(conf, name, value, error, error_size);
}
