"""The library: each provider's contract and behaviour, read once in a process."""

from __future__ import annotations

from functools import lru_cache

from understudy.behaviour import Behaviour, load_behaviour
from understudy.contract.build import load_contract
from understudy.contract.model import Contract
from understudy.folders import Folders, stamp


def load_provider(folders: Folders) -> tuple[Contract, Behaviour]:
    """Read and compile a provider; the same files are read once in a process.

    Raises:
        ContractInvalid: With every problem of every file.
    """
    return _load(folders, stamp(folders))


@lru_cache(maxsize=64)
def _load(folders: Folders, _stamp: tuple[tuple[str, int], ...]) -> tuple[Contract, Behaviour]:
    contract = load_contract(folders.contract, proven=folders.installed)
    return contract, load_behaviour(folders.fake, contract, proven=folders.bundled)
