#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "msl/soft/finding.h"
#include "msl/soft/guarded_memory.h"
#include "msl/soft/observer.h"
#include "msl/soft/shadow.h"

namespace lattice::msl {

/// A buffer as the checker knows it.
struct CheckedBuffer {
  std::string name;  ///< for messages: `buffer 1 ("out")`
  std::size_t bytes = 0;
  std::size_t element_bytes = 1;
};

/// Watches threadgroups run and takes down what is wrong with them. One dispatch, one thread.
class Checker : public Observer {
 public:
  /// Tells the place in the source ("file.metal:12") of an address in the kernel's code; empty where it
  /// cannot.
  using Symbolizer = std::function<std::string(const void* code)>;

  /// `buffers` are those of `memory`, in its order; `variables` the names of threadgroup variables by id.
  Checker(std::string kernel, const GuardedMemory& memory, std::vector<CheckedBuffer> buffers,
          std::vector<std::string> variables, Symbolizer symbolizer);

  /// To be called before each threadgroup: threadgroup memory is as if never written.
  void begin_threadgroup();
  void add(Finding finding);
  [[nodiscard]] std::vector<Finding> take_findings();

  bool access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes, soft::AccessKind kind,
              const void* code) override;
  void variable(const void* address, std::uint64_t bytes, std::uint32_t id) override;
  void divergent_group(const RunningThread& thread, const char* operation, soft::Site site, unsigned reached,
                       unsigned live) override;
  void divergent_barrier(const RunningThread& thread, soft::Site site, unsigned left,
                         bool several_lines) override;

 private:
  struct Variable {
    std::uint64_t address;
    std::uint64_t bytes;
    std::string name;
    std::unique_ptr<Shadow> shadow;
  };

  bool device_access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                     soft::AccessKind kind, const void* code);
  void threadgroup_access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                          soft::AccessKind kind, const void* code);
  /// Whether this is the first of its kind at its place; counts the others.
  bool is_new(FindingKind kind, std::uint64_t place, std::size_t object);
  bool is_new(FindingKind kind, const void* code, std::size_t object) {
    return is_new(kind, reinterpret_cast<std::uint64_t>(code), object);
  }
  Finding& report(FindingKind kind, const RunningThread& thread, std::string place, std::string object,
                  std::int64_t index, std::string detail);
  void report_race(const RunningThread& thread, const Shadow::Race& race, soft::AccessKind kind,
                   const void* code, const std::string& object, std::int64_t index);

  std::string kernel_;
  const GuardedMemory& memory_;
  std::vector<CheckedBuffer> buffers_;
  std::vector<std::string> variable_names_;
  Symbolizer symbolizer_;
  std::vector<std::unique_ptr<Shadow>> shadows_;  // of buffers
  std::vector<Variable> variables_;               // of the threadgroup that runs
  std::uint64_t arena_begin_ = ~std::uint64_t{0};
  std::uint64_t arena_end_ = 0;
  std::map<std::tuple<FindingKind, std::uint64_t, std::size_t>, std::size_t> seen_;  // → findings_
  std::vector<Finding> findings_;
};

}  // namespace lattice::msl
