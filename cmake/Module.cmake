# naru_module(NAME flow SRCS ... DEPS ...): static library naru_<name>, alias naru::<name>.
# Include root is the repository root. Sources are listed by name.
function(naru_module)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(naru_${ARG_NAME} STATIC ${ARG_SRCS})
    target_include_directories(naru_${ARG_NAME} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(naru_${ARG_NAME} PUBLIC ${ARG_DEPS} Threads::Threads PRIVATE naru_warnings)
  else()
    add_library(naru_${ARG_NAME} INTERFACE)
    target_include_directories(naru_${ARG_NAME} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(naru_${ARG_NAME} INTERFACE ${ARG_DEPS})
  endif()
  add_library(naru::${ARG_NAME} ALIAS naru_${ARG_NAME})
endfunction()

# naru_program(NAME naru-agent SRCS main.cc DEPS naru::agent): program in build/bin.
function(naru_program)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} naru_warnings)
endfunction()

# naru_test(NAME base SRCS a_test.cc ... DEPS naru::base): GoogleTest program base_test, one ctest entry,
# label "unit". Every *_test.cc must be listed here; tests/unit/CMakeLists.txt refuses strays.
function(naru_test)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME}_test ${ARG_SRCS})
  target_link_libraries(${ARG_NAME}_test PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main naru_warnings)
  set_target_properties(${ARG_NAME}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(TRANSFORM ARG_SRCS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set_property(GLOBAL APPEND PROPERTY NARU_TEST_SOURCES ${ARG_SRCS})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME}_test)
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# naru_bench(NAME otlp SRCS ... DEPS ...): benchmark program; printed figures, never a timed test.
function(naru_bench)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME}_bench ${ARG_SRCS})
  target_link_libraries(${ARG_NAME}_bench PRIVATE ${ARG_DEPS} benchmark::benchmark naru_warnings)
  set_target_properties(${ARG_NAME}_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/benchmarks)
endfunction()
