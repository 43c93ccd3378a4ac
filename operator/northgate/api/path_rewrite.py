"""How can a path be replaced? Whole, by its matched prefix, or by an expression; for rewrites and redirects alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from northgate.api.base import AbsolutePath, Model, Regex, exactly_one, text
from northgate.api.conditions import Problem
from northgate.api.regex import regex_problem, substitution_problem


class RegexReplacement(Model):
    """Every part of the path that an expression finds is replaced."""

    pattern: Regex
    """RE2 expression."""
    substitution: Annotated[str, text(r"[\x21-\x7e]*", 1024, 0)]
    r"""What takes its place; `\1` to `\9` stand for the groups of the expression."""


class PathRewrite(Model):
    """A new path, in exactly one way."""

    replace_full: AbsolutePath | None = None
    """The whole path."""
    replace_prefix: AbsolutePath | None = None
    """What takes the place of the matched `PathPrefix`; `/` removes it."""
    regex: RegexReplacement | None = None
    """Parts found by an expression."""

    cross_rules = (exactly_one("replaceFull", "replacePrefix", "regex"),)

    def problems(self) -> Iterable[Problem]:
        """The expression must be one RE2 accepts within the proxy's limit, and have the groups that are inserted."""
        if self.regex is None:
            return
        wrong = tuple(regex_problem(self.regex.pattern, ("regex", "pattern")))
        yield from wrong or substitution_problem(self.regex.pattern, self.regex.substitution, ("regex", "substitution"))

    def write(self, action: Any, prefix: str) -> None:
        """Write this into a RouteAction or RedirectAction; `prefix` is what the rule's `PathPrefix` matched.

        Replacing `/api` by `/` must turn `/api/x` into `/x`, and `/` by `/api` must turn `/x` into `/api/x`: the
        proxy's own prefix rewrite would make them `//x` and `/apix`.
        """
        if self.replace_full is not None:
            _regex(action, "^.*$", self.replace_full.replace("\\", "\\\\"))
        elif self.regex is not None:
            _regex(action, self.regex.pattern, self.regex.substitution)
        elif self.replace_prefix is not None and self.replace_prefix.rstrip("/"):
            action.prefix_rewrite = self.replace_prefix.rstrip("/") + ("" if prefix.rstrip("/") else "/")
        else:
            _regex(action, f"^{re.escape(prefix.rstrip('/'))}/*", "/")


def _regex(action: Any, pattern: str, substitution: str) -> None:
    action.regex_rewrite.pattern.regex = pattern
    action.regex_rewrite.substitution = substitution
