// 6: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

struct Shape {
  virtual float area() const;
};
