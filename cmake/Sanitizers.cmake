# NARU_SANITIZER: empty, "address" (with undefined behaviour), "thread", or "fuzz" (as address, for tests/fuzz).
set(NARU_SANITIZER "" CACHE STRING "address, thread, fuzz or empty")
if(NARU_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)  # such as error() of a result that is none
  add_link_options(-fsanitize=address,undefined)
elseif(NARU_SANITIZER STREQUAL "fuzz")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(NARU_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -O1 -g1)
  add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  add_link_options(-fsanitize=thread)
endif()
