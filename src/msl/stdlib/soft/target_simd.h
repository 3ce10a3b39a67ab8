// Simdgroup primitives of the soft device: every lane leaves its value, the last to come computes once for all.
#pragma once

#include "vec.h"

namespace lattice_msl::target {

using lattice::soft::Collective;
using lattice::soft::Scope;
using lattice::soft::Site;

template <class T>
T& slot(Collective* c, unsigned lane) { return *reinterpret_cast<T*>(c->values[lane]); }
template <class T>
const T& slot(const Collective* c, unsigned lane) { return *reinterpret_cast<const T*>(c->values[lane]); }
inline bool is_active(const Collective* c, unsigned lane) { return lane < c->width && ((c->active >> lane) & 1u) != 0; }

template <Scope S, class T>
const Collective* collect(const T& value, lattice::soft::Combine combine, const char* name, Site site, unsigned& lane) {
  static_assert(sizeof(T) <= lattice::soft::kSlotBytes, "a simdgroup carries scalars and vectors");
  return runtime->collect(S, &value, sizeof(T), combine, name, site, &lane);
}

/// Op over the active lanes, in the order of a butterfly: neighbours first, as the hardware adds.
template <class Op, class T>
void combine_reduce(Collective* c) {
  T partial[lattice::soft::kSimdWidth];
  unsigned present = c->active;
  for (unsigned i = 0; i < c->width; ++i) partial[i] = slot<T>(c, i);
  for (unsigned step = 1; step < c->width; step *= 2) {
    for (unsigned i = 0; i + step < c->width; i += 2 * step) {
      const bool left = ((present >> i) & 1u) != 0, right = ((present >> (i + step)) & 1u) != 0;
      if (left && right) partial[i] = Op::apply(partial[i], partial[i + step]);
      if (!left && right) partial[i] = partial[i + step];
      if (right) present |= 1u << i;
    }
  }
  for (unsigned i = 0; i < c->width; ++i) slot<T>(c, i) = partial[0];
}
template <class Op, class T, bool Inclusive>
void combine_prefix(Collective* c) {
  T running = Op::template identity<T>();
  for (unsigned i = 0; i < c->width; ++i) {
    if (!is_active(c, i)) continue;
    const T next = static_cast<T>(Op::apply(running, slot<T>(c, i)));
    slot<T>(c, i) = Inclusive ? next : running;
    running = next;
  }
}

template <class Op, Scope S, class T>
T reduce(const T& value, const char* name, Site site) {
  unsigned lane = 0;
  const Collective* c = collect<S>(value, combine_reduce<Op, T>, name, site, lane);
  return slot<T>(c, lane);
}
template <class Op, Scope S, bool Inclusive, class T>
T prefix(const T& value, const char* name, Site site) {
  unsigned lane = 0;
  const Collective* c = collect<S>(value, combine_prefix<Op, T, Inclusive>, name, site, lane);
  return slot<T>(c, lane);
}
/// The value of lane source(own lane). From outside the group, and from an inactive lane, the own value: Metal
/// leaves that undefined.
template <Scope S, class T, class F>
T shuffle(const T& value, F source, const char* name, Site site) {
  unsigned lane = 0;
  const Collective* c = collect<S>(value, nullptr, name, site, lane);
  const unsigned from = source(lane, c->width);
  return is_active(c, from) ? slot<T>(c, from) : value;
}
/// Of two values a lane: shuffles the first, and takes the second from lane fill(own lane) where the source falls
/// off the group's end.
template <Scope S, class T, class F, class G>
T shuffle_and_fill(const T& value, const T& filling, F source, G fill, const char* name, Site site) {
  unsigned lane = 0;
  const Collective* c = collect<S>(value, nullptr, name, site, lane);
  const unsigned from = source(lane, c->width);
  const T kept = is_active(c, from) ? slot<T>(c, from) : value;
  const Collective* d = collect<S>(filling, nullptr, name, site, lane);
  const unsigned width = d->width;
  return from < width ? kept : slot<T>(d, fill(lane, width));
}
template <Scope S>
unsigned ballot(bool value, const char* name, Site site) {
  unsigned lane = 0;
  const unsigned char flag = value ? 1 : 0;
  const Collective* c = collect<S>(flag, nullptr, name, site, lane);
  unsigned out = 0;
  for (unsigned i = 0; i < c->width; ++i) out |= is_active(c, i) && c->values[i][0] != 0 ? 1u << i : 0u;
  return out;
}
template <Scope S>
unsigned active_mask(unsigned& lane, const char* name, Site site) {
  const unsigned char nothing = 0;
  return collect<S>(nothing, nullptr, name, site, lane)->active;
}

// For stdlib/hints.h: a lane's own products of bytes, for its own sums and for those of its neighbour.
struct ByteOperand {
  const metal::uint4* planes;
  unsigned count;
  unsigned stride;
  bool odd;
};
inline ByteOperand make_pair_operand(const metal::uint4* planes, unsigned count, unsigned stride, const metal::uint4*, unsigned lane) {
  return {planes, count, stride, lane % 2 != 0};
}
inline int byte_dot(const metal::uint4& a, const metal::uint4& b) {
  const auto byte = [](const metal::uint4& of, int i) { return static_cast<signed char>(of[i / 4] >> (8 * (i % 4))); };
  int sum = 0;
  for (int i = 0; i < 16; ++i) sum += byte(a, i) * byte(b, i);
  return sum;
}
struct ByteFragment {
  unsigned i;
  bool is_there;
};
inline ByteFragment pair_fragment(const ByteOperand&, unsigned i) { return {i, true}; }
inline ByteFragment pair_fragment_or_zeros(const ByteOperand&, unsigned i, bool is_there) { return {i, is_there}; }
struct PairShares {
  metal::int4 own;
  metal::int4 neighbours;
};
inline PairShares pair_shares(const metal::uint4& first, const metal::uint4& last, const ByteOperand& x, const ByteFragment& at) {
  const metal::uint4 a = {first[0], first[2], last[0], last[2]};
  const metal::uint4 b = {first[1], first[3], last[1], last[3]};
  const auto products = [&](unsigned plane) {
    metal::int4 out = {0, 0, 0, 0};
    for (unsigned p = 0; p < 2 && plane + p < x.count && at.is_there; ++p) {
      const metal::uint4& bytes = x.planes[(plane + p) * x.stride + at.i];
      out[static_cast<int>(p)] = byte_dot(a, bytes);
      out[static_cast<int>(2 + p)] = byte_dot(b, bytes);
    }
    return out;
  };
  return {products(x.odd ? 2 : 0), products(x.odd ? 0 : 2)};
}

}  // namespace lattice_msl::target
