"""Which answers are right at which time? Those of every site that was in force while the request was under way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from tests.harness.load import Judge
from tests.hitless.site import Answer, Site, answer_of, answers

from northgate.ops.exchange import Reply

V = TypeVar("V")


class History(Generic[V]):
    """Sets of values by the time since which they are allowed."""

    def __init__(self, values: Iterable[V]) -> None:
        self._since: list[tuple[float, frozenset[V]]] = [(0.0, frozenset(values))]

    @property
    def now(self) -> frozenset[V]:
        """What is allowed now."""
        return self._since[-1][1]

    def set(self, at: float, values: frozenset[V]) -> None:
        """From now on these are allowed."""
        if values != self.now:
            self._since.append((at, values))

    def since(self, due: float) -> frozenset[V]:
        """Everything that was allowed at any time from then on."""
        return frozenset[V]().union(*self._back_to(due))

    def _back_to(self, due: float) -> Iterator[frozenset[V]]:
        for since, values in reversed(self._since):
            yield values
            if since <= due:
                return


class Expectations:
    """What each host may answer, and the certificates a new connection may meet. Times are of the loop's clock."""

    def __init__(self, site: Site, hosts: Iterable[str], serials: Sequence[str]) -> None:
        self._serials = serials
        self._under_way = [site]
        self._answers = {host: History(answers(host, [site])) for host in hosts}
        self._served = History((serials[site.certificate],))

    def expect(self, site: Site, at: float) -> None:
        """A site is on its way: its answers are right too, and those of any mixture with the sites before it."""
        self._under_way.append(site)
        self._allow(at)

    def settle(self, at: float) -> None:
        """The last site was seen to be in force: only its answers are right."""
        del self._under_way[:-1]
        self._allow(at)

    def moving(self) -> dict[str, tuple[frozenset[Answer], frozenset[Answer]]]:
        """The hosts that may give other answers than those of the last site: its answers, and those it alone gives."""
        *before, last = self._under_way
        found = {}
        for host, history in self._answers.items():
            wanted = answers(host, [last])
            if history.now != wanted:
                found[host] = (wanted, wanted - answers(host, before))
        return found

    @property
    def serial(self) -> str:
        """The certificate of the last site."""
        return self._serials[self._under_way[-1].certificate]

    def judge(self, host: str) -> Judge:
        """Judge the answers of a host."""

        def judge(reply: Reply, due: float) -> str:
            answer = answer_of(reply)
            if answer not in self._answers[host].since(due):
                return f"{host} answered {answer}"
            if reply.serial and not reply.reused and reply.serial not in self._served.since(due):
                return "a certificate that is not served any more"
            return ""

        return judge

    def _allow(self, at: float) -> None:
        for host, history in self._answers.items():
            history.set(at, answers(host, self._under_way))
        self._served.set(at, frozenset(self._serials[site.certificate] for site in self._under_way))
