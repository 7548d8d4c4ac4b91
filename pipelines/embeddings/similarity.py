"""How alike unit vectors are, pair by pair: exact, in blocks that fit into memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 20  # of the histogram, from -1 to 1
EDGES = np.linspace(-1.0, 1.0, BINS + 1)


class Products(Protocol):
    """What multiplies blocks: a processor or a GPU."""

    name: str

    def cosines(self, left: "NDArray[np.float32]", right: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """The cosines of unit vectors, shapes (m, d) and (n, d): float32, shape (m, n)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Double:
    """Two vectors that are nearly the same, by their places, the smaller first."""

    first: int
    second: int
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Of all pairs of different vectors. std: of the population. counts: by EDGES. Without a pair, all are 0.

    doubles: the most alike first, as many as were asked for; doubles_total: how many there are.
    """

    pairs: int = 0
    mean: float = 0.0
    std: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0
    counts: tuple[int, ...] = (0,) * BINS
    doubles: tuple[Double, ...] = ()
    doubles_total: int = 0


def compare(
    unit: "NDArray[np.float32]",
    products: Products,
    *,
    block: int,
    double: float,
    most_doubles: int,
    go_on: Callable[[], None] = lambda: None,
) -> Similarity:
    """The similarity of unit vectors, shape (n, d). block: vectors multiplied at once, `4 * block**2` bytes.

    double: the cosine from which two are doubles. go_on: called before each block; it may raise to stop.
    """
    sums = _Sums(double=double, most_doubles=most_doubles)
    count = len(unit)
    for top in range(0, count, block):
        for left in range(top, count, block):
            go_on()
            cosines = np.clip(products.cosines(unit[top : top + block], unit[left : left + block]), -1.0, 1.0)
            sums.add(cosines, top=top, left=left)
    return sums.similarity()


class _Sums:
    """Adds blocks up."""

    def __init__(self, *, double: float, most_doubles: int) -> None:
        self._double = double
        self._most = most_doubles
        self._pairs = 0
        self._sum = 0.0
        self._squares = 0.0
        self._lowest, self._highest = 1.0, -1.0
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._doubles: list[Double] = []
        self._doubles_total = 0

    def add(self, cosines: Any, *, top: int, left: int) -> None:
        """One block, whose first row and column are those places. On the diagonal, the pairs above it count."""
        first, second = (
            np.triu_indices_from(cosines, k=1) if top == left else np.indices(cosines.shape).reshape(2, -1)
        )
        found = cosines[first, second]
        if not found.size:
            return
        self._pairs += found.size
        self._sum += float(found.sum(dtype=np.float64))
        self._squares += float(np.square(found, dtype=np.float64).sum())
        self._lowest = min(self._lowest, float(found.min()))
        self._highest = max(self._highest, float(found.max()))
        self._counts += np.histogram(found, bins=EDGES)[0]
        places = np.flatnonzero(found >= self._double)
        self._doubles_total += places.size
        for place in places[np.argsort(-found[places], kind="stable")[: self._most]]:
            rows = {"first": top + int(first[place]), "second": left + int(second[place])}
            self._doubles.append(Double(**rows, cosine=float(found[place])))
        self._doubles.sort(key=lambda one: (-one.cosine, one.first, one.second))
        del self._doubles[self._most :]

    def similarity(self) -> Similarity:
        """What has been added."""
        if not self._pairs:
            return Similarity()
        mean = self._sum / self._pairs
        return Similarity(
            pairs=self._pairs,
            mean=mean,
            std=max(self._squares / self._pairs - mean**2, 0.0) ** 0.5,
            lowest=self._lowest,
            highest=self._highest,
            counts=tuple(int(count) for count in self._counts),
            doubles=tuple(self._doubles),
            doubles_total=self._doubles_total,
        )
