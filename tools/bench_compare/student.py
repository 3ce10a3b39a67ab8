"""Student's t distribution and the normal one, as far as they are needed here."""

import math
from statistics import NormalDist

_TINY = 1e-300


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, 6.4)."""
    c = 1.0
    d = 1.0 / max(1.0 - (a + b) * x / (a + 1.0), _TINY)
    total = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + term / c
            c = c if abs(c) > _TINY else _TINY
            total *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return total


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(a, b, x) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(b, a, 1.0 - x) / b


def two_sided_p(t: float, freedom: float) -> float:
    """How often |T| is at least |t| by chance, T of Student's distribution with `freedom` degrees of freedom."""
    if math.isinf(t):
        return 0.0
    return incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))


def t_quantile(p_two_sided: float, freedom: float) -> float:
    """The t > 0 that |T| exceeds with probability `p_two_sided`."""
    low, high = 0.0, 1.0
    while two_sided_p(high, freedom) > p_two_sided:
        high *= 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        if two_sided_p(middle, freedom) > p_two_sided:
            low = middle
        else:
            high = middle
    return high


def normal_below(x: float) -> float:
    """The share of the standard normal distribution that lies below x."""
    return NormalDist().cdf(x)
