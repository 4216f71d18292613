"""Find the variants of further bundles with the same items, to compare students."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lightrec.benchmarks.variants.variant import Absent, Variant, bundle_variants
from lightrec.bundle import Catalogue, Manifest, read_catalogue, read_manifest
from lightrec.errors import ConfigError
from lightrec.machine.doctor import Diagnosis


def more_bundle_variants(
    bundles: Sequence[Path], manifest: Manifest, catalogue: Catalogue, machine: Diagnosis, device: str | None = None
) -> list[Variant]:
    """Return the models of ``bundles`` that run here, each named after its bundle.

    Args:
        bundles: folders; each must hold the items of the first bundle, in the same order.
        manifest: of the first bundle.
        catalogue: of the first bundle.
        machine: what there is.
        device: only this one; all if None.

    Raises:
        ConfigError: if a bundle holds other items, ranks fewer of them, or has the name of another.
    """
    found: list[Variant] = []
    for bundle in bundles:
        own = read_manifest(bundle)
        if list(read_catalogue(bundle, own).item_ids) != list(catalogue.item_ids):
            raise ConfigError(f"{bundle} holds other items than the first bundle: give bundles of the same data.")
        if own.k_limit < manifest.k_limit:
            raise ConfigError(
                f"{bundle} ranks {own.k_limit} items and the first bundle {manifest.k_limit}: give it first, or export "
                f"it with --k-limit {manifest.k_limit}."
            )
        models = [one for one in bundle_variants(bundle, own, machine, device) if not isinstance(one, Absent)]
        found += [_of_bundle(bundle.resolve(), one) for one in models]
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise ConfigError("Two of the bundles have the same name: copy one to a folder of another name.")
    return found


def _of_bundle(bundle: Path, variant: Variant) -> Variant:
    label = f"{variant.name}, {bundle.name}"
    return dataclasses.replace(variant, label=label, how={**variant.how, "bundle": str(bundle)})
