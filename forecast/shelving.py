"""The verbs of the saved models: list, show, verify, alias."""

from __future__ import annotations

from typing import Any

from forecast.pipeline import Outcome
from forecast.reports.terminal import model_lines
from forecast.store.artifacts import list_artifacts, load_artifact, set_alias, verify_artifact


def models_list(models: Any = "models") -> Outcome:
    """All saved models and versions."""
    rows = list_artifacts(models)
    lines = model_lines(rows)
    bad = [f"{row['name']}@{row['version']}" for row in rows if row.get("problem")]
    problem = None
    if bad:
        problem = f"damaged models: {', '.join(bad)}, in {models}. Restore them from a backup, or fit again."
    return Outcome({"models": rows}, lines or [f"No models in {models}"], problem)


def models_show(reference: str, models: Any = "models") -> Outcome:
    """A model's card."""
    artifact = load_artifact(models, reference)
    return Outcome(
        {"name": artifact.name, "version": artifact.version, **artifact.payload}, artifact.card.splitlines()
    )


def models_verify(reference: str, models: Any = "models") -> Outcome:
    """Check every byte of a saved model against its checksums."""
    artifact = verify_artifact(models, reference)
    return Outcome(
        {"name": artifact.name, "version": artifact.version, "verified": True},
        [f"{artifact.name}@{artifact.version} is whole"],
    )


def models_alias(reference: str, alias: str, models: Any = "models") -> Outcome:
    """Give a version a name, such as champion."""
    saved = set_alias(models, reference, alias)
    return Outcome(
        {"name": saved.name, "version": saved.version, "alias": alias},
        [f"{saved.name}@{alias} is now version {saved.version}"],
    )
