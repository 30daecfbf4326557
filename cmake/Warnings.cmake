# Warnings for our own targets only; dependencies come in as SYSTEM.
add_library(naru_warnings INTERFACE)
target_compile_options(naru_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wunused-result -Werror=unused-result -Werror=return-type -Werror=uninitialized)
