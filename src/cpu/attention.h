#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_backend.h"
#include "cpu/cpu_state.h"
#include "cpu/cpu_weights.h"
#include "cpu/workspace.h"

namespace lattice::cpu {

/// A full-attention layer between its in-projections and its out-projection.
class AttentionPass {
 public:
  struct Projections {
    const float*
        q;  // [tokens, heads · (query head_dim | gate head_dim)], `stride` floats from one token to the next
    const float* k;  // [tokens, kv_dim], likewise
    const float* v;
    std::int64_t stride;
    const float* angles;  // [tokens, rotary_dim]: cosines, then sines, of each token's position
  };

  AttentionPass(const Config& config, const Kernels& kernels, const CpuFullMixer& weights,
                const CpuState::LayerMemory& memory, KvFormat kv, std::int64_t capacity,
                const Projections& in, std::int64_t position, std::int64_t tokens, float* out)
      : config_(config),
        kernels_(kernels),
        weights_(weights),
        memory_(memory),
        kv_(kv),
        capacity_(capacity),
        in_(in),
        position_(position),
        tokens_(tokens),
        out_(out) {}

  /// Decode steps: the keys that a token sees are split into parts(token), each of which any thread may take
  /// for any KV head; then merge() joins a head's parts. Where there is one token alone, its last part also
  /// appends its key and value; otherwise append() comes first. partial: [tokens, heads, kMaxKeyParts, d +
  /// 2].
  [[nodiscard]] std::int64_t parts(std::int64_t token) const noexcept;
  void part(std::int64_t kv_head, std::int64_t token, std::int64_t part, ThreadScratch& scratch,
            float* partial) const;
  void merge(std::int64_t head, std::int64_t token, ThreadScratch& scratch, const float* partial) const;

  /// Puts a token's keys and values into the cache.
  void append(std::int64_t token, ThreadScratch& scratch) const;
  /// A batch, when all of it is in the cache: the queries of kQueryBlock tokens, all heads of one KV head
  /// together, meet every key that they may see.
  void block(std::int64_t kv_head, std::int64_t first_token, ThreadScratch& scratch) const;

 private:
  void norm_and_rotate(const float* in, const std::vector<float>& weight, std::int64_t token,
                       float* out) const;
  void load_query(std::int64_t head, std::int64_t token, float* out) const;
  void append_head(std::int64_t kv_head, std::int64_t token, float* scratch) const;
  void store(AlignedMemory const& memory, std::int64_t kv_head, std::int64_t position,
             const float* row) const;
  [[nodiscard]] std::int64_t cache_offset(std::int64_t kv_head, std::int64_t position) const noexcept {
    return (kv_head * capacity_ + position) * config_.head_dim;
  }
  [[nodiscard]] std::int64_t partial_offset(std::int64_t head, std::int64_t token) const noexcept {
    return (token * config_.attention_heads + head) * kMaxKeyParts * (config_.head_dim + 2);
  }
  void score_keys(std::int64_t offset, std::int64_t keys, const float* queries, float* scores) const;
  void add_values(std::int64_t offset, std::int64_t keys, const float* weights, float* out) const;
  void ask_for(const AlignedMemory& memory, std::int64_t offset, std::int64_t rows) const;
  const float* rows_at(const AlignedMemory& memory, std::int64_t offset, std::int64_t rows,
                       float* room) const;
  void gate_and_store(std::int64_t head, std::int64_t token, const float* values, float factor,
                      float* room) const;
  void softmax_block(float* scores, std::int64_t rows, std::int64_t first_token, std::int64_t first_key,
                     std::int64_t keys, float* maxima, float* totals, float* keep) const;
  [[nodiscard]] std::int64_t group() const noexcept { return config_.attention_heads / config_.kv_heads; }

  const Config& config_;
  const Kernels& kernels_;
  const CpuFullMixer& weights_;
  const CpuState::LayerMemory& memory_;
  KvFormat kv_;
  std::int64_t capacity_;
  Projections in_;
  std::int64_t position_;  // of the first token
  std::int64_t tokens_;
  float* out_;  // [tokens, q_dim]
};

}  // namespace lattice::cpu
