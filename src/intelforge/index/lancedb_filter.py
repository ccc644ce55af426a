"""Filters and attributes in Lance's SQL. All text in it is hashed or an id in quotes, all else are numbers."""

from collections.abc import Collection

from intelforge.core.values import Attributes
from intelforge.index.protocol import Filter
from intelforge.index.words import label_key


def attribute_sql(attributes: Attributes) -> dict[str, str]:
    labels = ", ".join(f"'{label_key(label)}'" for label in sorted(attributes.labels))
    array = f"[{labels}]" if labels else "arrow_cast([], 'List(Utf8)')"
    return {"labels": array, "modified": repr(attributes.modified), "quality": repr(attributes.quality)}


def filter_sql(where: Filter) -> str:
    """The filter as Lance's SQL; empty when everything passes. All text in it is hashed, all else are numbers."""
    clauses = [_has_any(group) for group in where.any_of]
    if where.none_of:
        clauses.append(f"NOT {_has_any(where.none_of)}")
    if where.documents is not None:
        clauses.append(among("document_id", where.documents))
    if where.since is not None:
        clauses.append(f"modified >= {float(where.since)!r}")
    if where.until is not None:
        clauses.append(f"modified < {float(where.until)!r}")
    if where.least_quality > 0:
        clauses.append(f"quality >= {float(where.least_quality)!r}")
    return " AND ".join(clauses)


def _has_any(labels: Collection[str]) -> str:
    keys = ", ".join(f"'{label_key(label)}'" for label in sorted(labels))
    return f"array_has_any(labels, [{keys}])" if keys else "false"


def among(column: str, values: Collection[str]) -> str:
    literals = ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(set(values)))
    return f"{column} IN ({literals})" if literals else "false"
