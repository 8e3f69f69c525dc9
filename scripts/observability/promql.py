"""What a PromQL expression reads and groups by, taken from its syntax tree. Knows no file and no server."""

import re
from dataclasses import dataclass

import promql_parser as promql

# What Grafana puts in for its variables; every panel query must work with them.
VARIABLES = {
    "$__rate_interval": "15s",
    "$__interval": "5s",
    "$__range": "60s",
    "$pod": ".*",
    "$region": ".*",
}


@dataclass(frozen=True)
class Selector:
    """A metric by name, with its matchers as (label, operator, value)."""

    metric: str
    matchers: tuple


@dataclass(frozen=True)
class Grouping:
    """Labels that an aggregation or a vector match names, and the metrics that could have them."""

    labels: frozenset
    metrics: frozenset


OPERATORS = [
    (promql.MatchOp.Equal, "="),
    (promql.MatchOp.NotEqual, "!="),
    (promql.MatchOp.Re, "=~"),
    (promql.MatchOp.NotRe, "!~"),
]


def substitute(query):
    """The query with Grafana's variables filled in."""
    for variable in sorted(VARIABLES, key=len, reverse=True):
        query = query.replace(variable, VARIABLES[variable])
    if "$" in query:
        raise ValueError(f"unknown variable in {query}")
    return query


def read(query):
    """Every selector and every grouping of a query. Raises ValueError if it does not parse."""
    selectors, groupings = [], []
    walk(promql.parse(query), selectors, groupings)
    return selectors, groupings


def walk(node, selectors, groupings):
    start = len(selectors)
    if isinstance(node, promql.VectorSelector):
        matchers = tuple((m.name, operator(m), m.value) for m in node.matchers.matchers)
        selectors.append(Selector(node.name, matchers))
        return
    for child in children(node):
        walk(child, selectors, groupings)
    labels = named_labels(node)
    if labels:
        metrics = frozenset(selector.metric for selector in selectors[start:])
        groupings.append(Grouping(frozenset(labels), metrics))


def operator(matcher):
    return next(text for known, text in OPERATORS if known == matcher.op)


def children(node):
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, promql.Call):
        return node.args
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, (promql.AggregateExpr, promql.UnaryExpr, promql.ParenExpr, promql.SubqueryExpr)):
        return [node.expr]
    if isinstance(node, (promql.NumberLiteral, promql.StringLiteral)):
        return []
    raise ValueError(f"a kind of node this script does not know: {type(node).__name__}")


def named_labels(node):
    modifier = getattr(node, "modifier", None)
    if modifier is None:
        return []
    if isinstance(node, promql.AggregateExpr):
        return modifier.labels
    matching = modifier.matching.labels if modifier.matching else []
    return [*matching, *(modifier.group_labels or [])]


def alternatives(value):
    """The alternatives of a regular expression, as far as they stand side by side at its top."""
    return [value] if "(" in value else value.split("|")


def unmatched(operator, value, exported):
    """Which alternatives of a matcher fit none of the exported values of its label."""
    if not operator.endswith("~"):
        return [] if value in exported else [value]
    return [part for part in alternatives(value) if not any(re.fullmatch(part, one) for one in exported)]
