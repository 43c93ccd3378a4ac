"""How does a value stay up to date at the cost of what changed? A memoising engine that knows nothing of the domain.

The program declares *stages* once, in order: an `Input` is filled from outside; a `Derived` computes one value per key
from whatever it reads; an `Index` groups the keys of a collection by what their values say. While a value is computed,
each read is recorded. `settle()` then recomputes only the keys whose reads changed, stage by stage in the order of
declaration, and stops early where a result comes out equal to the old one.

Rules that keep this small and right:

* A computation may read earlier stages only, so there are no cycles and one pass in order is enough.
* Computations are pure: equal reads give equal values. The reference is a fresh engine with the same inputs.
* A computation that raises keeps its key's previous value and is reported in `failures`; other keys are unaffected.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
B = TypeVar("B", bound=Hashable)

_Reader = tuple["Derived[Any, Any]", Any]
"""A computation: its stage and its key."""


class EngineError(RuntimeError):
    """The program is wired wrongly: a computation read a stage declared after its own."""


class Engine:
    """Owns the stages and the record of who read what. Not thread-safe: one owner, one thread."""

    def __init__(self) -> None:
        self._stages: list[Derived[Any, Any]] = []
        self._declared = 0
        self._computing: _Reader | None = None
        self._reads: list[Any] = []
        self.failures: dict[tuple[str, Any], Exception] = {}

    def input(self, name: str) -> Input[Any, Any]:
        """Declare a collection that is filled by `put` and `remove`."""
        return Input(self, name)

    def map(self, name: str, source: Collection[K, Any], compute: Callable[[K], V | None]) -> Derived[K, V]:
        """Declare a value for each key of `source`. A computation that returns None gives its key no value."""
        stage: Derived[K, V] = Derived(self, name, compute, source._values)
        source._children.append(stage)
        stage._dirty.update(dict.fromkeys(source._values))
        return stage

    def group(self, name: str, index: Index[B, Any], compute: Callable[[B], V | None]) -> Derived[B, V]:
        """Declare a value for each bucket of `index` that is not empty."""
        stage: Derived[B, V] = Derived(self, name, compute, index._buckets)
        index._children.append(stage)
        stage._dirty.update(dict.fromkeys(index._buckets))
        return stage

    def index(self, source: Collection[K, V], buckets: Callable[[K, V], Iterable[B]]) -> Index[B, K]:
        """Declare groups of the keys of `source`: `buckets(key, value)` names the groups a key belongs to."""
        index: Index[B, K] = Index(self, buckets)
        source._indexes.append(index)
        for key, value in source._values.items():
            index._update(key, value)
        return index

    def settle(self) -> None:
        """Bring every derived value up to date."""
        for stage in self._stages:
            stage._settle()

    def _declare(self) -> int:
        self._declared += 1
        return self._declared

    def _read(self, readers: _Readers, key: Any, reader: _Reader) -> None:
        if readers.rank >= reader[0].rank:
            raise EngineError(f"{reader[0].name} reads a stage that is declared after it")
        if readers.add(key, reader):
            self._reads += (readers, key)


class _Readers:
    """Who read what of one collection or index.

    A single reader is kept as it is: most keys have no other, and a dictionary for each would be most of the memory.
    """

    __slots__ = ("_of", "rank")

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self._of: dict[Any, _Reader | dict[_Reader, None]] = {}

    def add(self, key: Any, reader: _Reader) -> bool:
        """False when it was known already."""
        known = self._of.get(key)
        if known is None:
            self._of[key] = reader
            return True
        if isinstance(known, tuple):
            if known == reader:
                return False
            known = self._of[key] = {known: None}
        if reader in known:
            return False
        known[reader] = None
        return True

    def discard(self, key: Any, reader: _Reader) -> None:
        """It does not read the key any more."""
        known = self._of.get(key)
        if isinstance(known, dict):
            known.pop(reader, None)
        if not known or known == reader:
            self._of.pop(key, None)

    def mark(self, key: Any) -> None:
        """Have all that read this computed again."""
        known = self._of.get(key)
        if known is not None:
            for stage, changed in (known,) if isinstance(known, tuple) else known:
                stage._dirty[changed] = None


class Collection(Generic[K, V]):
    """Values by key. Reading inside a computation makes that computation depend on what was read."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.rank = engine._declare()
        self._engine = engine
        self._values: dict[K, V] = {}
        self._readers = _Readers(self.rank)
        self._children: list[Derived[K, Any]] = []
        self._indexes: list[Index[Any, K]] = []
        self._observed: dict[K, None] | None = None

    def get(self, key: K) -> V | None:
        """The value of `key`, or None."""
        if (reader := self._engine._computing) is not None:
            self._engine._read(self._readers, key, reader)
        return self._values.get(key)

    def __getitem__(self, key: K) -> V:
        """The value of `key`, which is known to be there (a computation's own key, a member of an index)."""
        if (reader := self._engine._computing) is not None:
            self._engine._read(self._readers, key, reader)
        return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Iterator[tuple[K, V]]:
        """Everything, in no particular order. Only outside computations: it would make them depend on the world."""
        if self._engine._computing is not None:
            raise EngineError(f"a computation reads all of {self.name}; declare an index instead")
        return iter(self._values.items())

    def observe(self) -> None:
        """Start recording which keys change, for `take_changes`. Keys present now count as changed."""
        self._observed = dict.fromkeys(self._values)

    def take_changes(self) -> tuple[K, ...]:
        """The keys put, recomputed to another value or removed since the last call, in the order it happened."""
        taken = tuple(self._observed or ())
        self._observed = {}
        return taken

    def _store(self, key: K, value: V | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value
        if self._observed is not None:
            self._observed[key] = None
        self._readers.mark(key)
        for child in self._children:
            child._dirty[key] = None
        for index in self._indexes:
            index._update(key, value)


class Input(Collection[K, V]):
    """A collection filled from outside."""

    def put(self, key: K, value: V) -> bool:
        """Set the value of `key`; False when it was equal already."""
        if self._values.get(key) == value:
            return False
        self._store(key, value)
        return True

    def remove(self, key: K) -> bool:
        """Take `key` away; False when it was not there."""
        if key not in self._values:
            return False
        self._store(key, None)
        return True


class Derived(Collection[K, V]):
    """A collection computed from earlier stages. `computed` counts computations, for tests and metrics."""

    def __init__(self, engine: Engine, name: str, compute: Callable[[K], V | None], parents: Container[K]) -> None:
        super().__init__(engine, name)
        self._compute = compute
        self._parents = parents
        self._dirty: dict[K, None] = {}
        # What each key read, flat: readers, key, readers, key, …
        self._reads: dict[K, tuple[Any, ...]] = {}
        self.computed = 0
        engine._stages.append(self)

    def _settle(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
            if key in self._parents:
                self._recompute(key)
            else:
                self._drop(key)

    def _drop(self, key: K) -> None:
        self._forget(key)
        self._engine.failures.pop((self.name, key), None)
        if key in self._values:
            self._store(key, None)

    def _recompute(self, key: K) -> None:
        engine = self._engine
        self._forget(key)
        engine._computing, engine._reads = (self, key), []
        try:
            value = self._compute(key)
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001 - our bug harms this key alone; the caller counts and logs it
            engine.failures[self.name, key] = error
            return
        finally:
            self._reads[key] = tuple(engine._reads)
            engine._computing = None
            self.computed += 1
        engine.failures.pop((self.name, key), None)
        if value != self._values.get(key):
            self._store(key, value)

    def _forget(self, key: K) -> None:
        reads, reader = iter(self._reads.pop(key, ())), (self, key)
        for readers, read in zip(reads, reads, strict=True):
            readers.discard(read, reader)


class Index(Generic[B, K]):
    """Keys of a collection by bucket, each bucket sorted so that results do not depend on the order of events."""

    def __init__(self, engine: Engine, buckets: Callable[[K, Any], Iterable[B]]) -> None:
        self.rank = engine._declare()
        self._engine = engine
        self._of = buckets
        self._member: dict[K, tuple[B, ...]] = {}
        self._buckets: dict[B, list[Any]] = {}
        self._readers = _Readers(self.rank)
        self._children: list[Derived[B, Any]] = []

    def bucket(self, bucket: B) -> tuple[K, ...]:
        """The keys of `bucket`, sorted."""
        if (reader := self._engine._computing) is not None:
            self._engine._read(self._readers, bucket, reader)
        return tuple(self._buckets.get(bucket, ()))

    def __contains__(self, bucket: B) -> bool:
        if (reader := self._engine._computing) is not None:
            self._engine._read(self._readers, bucket, reader)
        return bucket in self._buckets

    def _update(self, key: K, value: Any) -> None:
        old = self._member.get(key, ())
        new = tuple(dict.fromkeys(self._of(key, value))) if value is not None else ()
        if new == old:
            return
        if new:
            self._member[key] = new
        else:
            self._member.pop(key, None)
        for bucket in _without(old, new):
            keys = self._buckets[bucket]
            del keys[bisect_left(keys, key)]
            if not keys:
                del self._buckets[bucket]
                self._appeared_or_left(bucket)
            self._readers.mark(bucket)
        for bucket in _without(new, old):
            if bucket not in self._buckets:
                self._buckets[bucket] = []
                self._appeared_or_left(bucket)
            insort(self._buckets[bucket], key)
            self._readers.mark(bucket)

    def _appeared_or_left(self, bucket: B) -> None:
        for child in self._children:
            child._dirty[bucket] = None


def _without(these: tuple[B, ...], those: tuple[B, ...]) -> Iterable[B]:
    if not those:
        return these
    left_out = frozenset(those)
    return [one for one in these if one not in left_out]
