# Writes OUTPUT, a C++ file that holds every file under ROOT as a string (src/msl/stdlib_files.h).
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.h ${ROOT}/*.cpp)
list(SORT files)
set(entries "")
foreach(name ${files})
  # Read as bytes: CMake's own reading of text would take semicolons and brackets for lists.
  file(READ ${ROOT}/${name} text HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" text "${text}")
  string(REGEX REPLACE "(\\\\x0a)" "\\1\"\n  \"" text "${text}")
  string(APPEND entries "{\"${name}\",\n  \"${text}\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"msl/stdlib_files.h\"

namespace lattice::msl {
namespace {
const StdlibFile kFiles[] = {
${entries}};
}  // namespace

std::span<const StdlibFile> stdlib_files() noexcept { return kFiles; }

}  // namespace lattice::msl
")
