# Writes OUTPUT, a .cc file that holds the files ASSETS (names in DIRECTORY) byte for byte.
# cmake -DDIRECTORY=... -DASSETS=a;b -DOUTPUT=... -P embed.cmake
set(tables "")
set(entries "")
set(index 0)
foreach(name IN LISTS ASSETS)
  file(READ ${DIRECTORY}/${name} bytes HEX)
  file(SHA256 ${DIRECTORY}/${name} hash)
  string(SUBSTRING ${hash} 0 16 tag)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND tables "constexpr unsigned char kBytes${index}[] = {\n${bytes}};\n")
  string(APPEND entries
    "    {\"/${name}\", \"\\\"${tag}\\\"\", {reinterpret_cast<const char*>(kBytes${index}), sizeof(kBytes${index})}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUTPUT}
  "// Made by console/embed.cmake from console/assets.\n"
  "#include \"console/embedded.h\"\n\n"
  "namespace naru::console {\nnamespace {\n\n${tables}\n}  // namespace\n\n"
  "std::span<const EmbeddedFile> embedded_files() {\n"
  "  static const EmbeddedFile kFiles[] = {\n${entries}  };\n"
  "  return kFiles;\n}\n\n}  // namespace naru::console\n")
