// Named places where a test may ask a program to do wrong, so that a check can be seen to notice it.
//
// A point is armed by the environment variable NARU_FAULT: names separated by commas, each with an optional
// count, as in "collector.drop_record:1,writer.drop_record". Unarmed, a point costs a look at an empty list.
// No configuration file and no request can arm one. Thread-safe.
#pragma once

#include <string_view>

namespace naru {

// True when `name` is armed and its count (1 unless given) is not used up; uses one. The first call reads the
// environment. Names are "<stage>.<what>"; docs/operations/README.md lists them.
bool fault_point(std::string_view name);

}  // namespace naru
