"""Find all that one command measures: torch student, bundle's models, peers, browser, and what is absent."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lightrec.benchmarks.fingerprint import fingerprint
from lightrec.benchmarks.variants.browser import browser_variants
from lightrec.benchmarks.variants.more_bundles import more_bundle_variants
from lightrec.benchmarks.variants.torch_student import torch_variants
from lightrec.benchmarks.variants.variant import Absent, Variant, bundle_variants, peer_variants, same_device
from lightrec.bundle import Manifest, read_catalogue
from lightrec.machine.doctor import Diagnosis, diagnose


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is requested besides the bundle's models."""

    device: str | None = None
    """The only device whose variants are measured; all devices if None."""
    run: Path | None = None
    """The run folder that the bundle was exported from: its torch student comes first."""
    teacher: Path | None = None
    """The run folder of the teacher, whose quality is measured but not its speed."""
    compiled: bool = False
    """That student with torch.compile as well."""
    replay: Path | None = None
    """Interpreter of an environment with RePlay."""
    rectools: Path | None = None
    """Interpreter of one with RecTools."""
    sentences: bool = False
    """A sentence encoder over the titles."""
    browser: bool = False
    """The bundle in headless Chromium."""
    beside: tuple[Path, ...] = ()
    """Further bundles of the same items."""


def find_variants(
    bundle: Path, manifest: Manifest, wanted: Wanted, machine: Diagnosis | None = None
) -> list[Variant | Absent]:
    """List the torch student, the bundle's models, peers and the browser, then what is absent.

    Args:
        bundle: the bundle.
        manifest: its manifest.
        wanted: what is asked for.
        machine: what there is; looked at if None.

    Raises:
        ModelError: if ``wanted.run`` is not the run that the bundle was made from.
        ConfigError: if a bundle of ``wanted.beside`` cannot stand beside the first.
    """
    machine = machine or diagnose()
    own = bundle_variants(bundle, manifest, machine, wanted.device)
    if wanted.beside:
        catalogue = read_catalogue(bundle, manifest)
        own += more_bundle_variants(wanted.beside, manifest, catalogue, machine, wanted.device)
    peers = peer_variants(wanted.replay, wanted.rectools, wanted.sentences)
    others = [*peers, *browser_variants(bundle, manifest, requested=wanted.browser)]
    torch, others = _torch(bundle, manifest, wanted), on_processor(others, wanted.device)
    running = [one for one in (*torch, *own, *others) if isinstance(one, Variant)]
    return [*running, *(one for one in (*own, *others, *torch) if isinstance(one, Absent))]


def on_processor(found: Sequence[Variant | Absent], device: str | None) -> list[Variant | Absent]:
    """Make peers and the browser absent if a device other than the CPU is requested."""
    if device is None or same_device(device, "CPU"):
        return list(found)
    # One that is not asked for would not run here either, asked for or not.
    reason = f"it runs on the CPU alone, and --device asks for {device}"
    return [Absent(one.name, reason, requested=isinstance(one, Variant) or one.requested) for one in found]


def _torch(bundle: Path, manifest: Manifest, wanted: Wanted) -> list[Variant | Absent]:
    if wanted.run is None:
        return [
            Absent("torch", "give the run that the bundle was exported from with --run", requested=False),
            Absent(
                "torch.compile", "give that run with --run, and ask for it with --compile", requested=wanted.compiled
            ),
        ]
    devices = [name for name in ("CPU", "CUDA") if wanted.device is None or same_device(wanted.device, name)]
    missing: list[Variant | Absent] = []
    if wanted.device is None and not fingerprint()["gpus"]:
        devices.remove("CUDA")
        missing.append(Absent("torch CUDA", "it needs an NVIDIA GPU, its driver and torch built for CUDA"))
    return [*torch_variants(wanted.run, bundle, manifest, compiled=wanted.compiled, devices=devices), *missing]
