// NARU_CHECK: a broken invariant ends the process, in release builds too. Never for untrusted input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define NARU_CHECK(condition, message)                                                                    \
  do {                                                                                                    \
    if (!(condition)) [[unlikely]] {                                                                      \
      std::fprintf(stderr, "%s:%d: invariant broken: %s: %s\n", __FILE__, __LINE__, #condition, message); \
      std::abort();                                                                                       \
    }                                                                                                     \
  } while (false)
