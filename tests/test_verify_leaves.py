"""What `understudy verify` finds of every leaf of our contracts, when a fake is altered there."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest
from hypothesis import settings

from tests.alterations import PROVIDERS, Alteration, Altered, alterations, judged, node_at
from understudy.contract.model import Contract
from understudy.probes import rules_of

pytestmark = pytest.mark.unmeasured

#: In a run of every night, all alterations of each provider; else some of them.
FEW = 5

#: How many of all leaves have to be found.
SHARE = 0.95


def _a_further_form(contract: Contract, one: Alteration) -> bool:
    return any(key == "$either" and index != 0 for key, index in pairwise(one.at))


def _a_hidden_rule(contract: Contract, one: Alteration) -> bool:
    if one.at[2] != "errors":
        return False
    kind, name, index = contract.job_types[str(one.at[1])], str(one.at[3]), one.at[4]
    rule = kind.errors.rules[name][int(index)]
    return not any(rule in rules_of(kind, name, operation) for operation in ("", *contract.operations))


def _a_state_without_a_word(contract: Contract, one: Alteration) -> bool:
    words = node_at(contract, one.at)
    return one.at[-2] == "states" and all(isinstance(word, dict) and "word" not in word for word in words)


#: What a contract has for those who read and no fake ever sends, so that nobody can see it altered.
ONLY_READ: Mapping[str, Callable[[Contract, Alteration], bool]] = {
    "of several forms of a value the first is sent": _a_further_form,
    "of several rules of an error the first is sent that fits; one that comes after it never is": _a_hidden_rule,
    "a state that has no word in a reply is told by something else in it": _a_state_without_a_word,
}

#: What is on the wire, and seen by nobody who asks what verify asks.
UNSEEN = {
    "request/result/reply/http/failed: *": "each failure has a status of its own",
    "request/errors/unauthorized/1/*": "of the two forms that a key can have, the one that is given counts",
    "request/errors/invalid/0/http: *": "nothing wrong is put into a path",
}


def sent(name: str) -> list[Alteration]:
    """Return the alterations of a contract that are on the wire."""
    contract = Altered(name).contract
    return [one for one in alterations(name) if not any(holds(contract, one) for holds in ONLY_READ.values())]


def listed(one: str) -> bool:
    """Say whether an alteration is one that is known to be seen by nobody."""
    return any(fnmatch.fnmatchcase(one, pattern) for pattern in UNSEEN)


@pytest.mark.parametrize("name", PROVIDERS)
def test_altered_leaves_are_found(name: str):
    """Each leaf of a contract that is on the wire is found when it is altered, but for those that are listed."""
    every = sent(name)
    night = settings.get_profile(settings._current_profile or "default").max_examples > 1000
    some = every if night else random.Random(name).sample(every, FEW)
    verdicts = [verdict for one in some if (verdict := judged(name, one)) is not None]
    assert not [verdict for verdict in verdicts if verdict.found == listed(verdict.name)]


def test_few_leaves_are_not_seen():
    """95 in 100 of all leaves are seen, though not all are on the wire; what is listed is there."""
    every = [one.name for name in PROVIDERS for one in alterations(name)]
    on_the_wire = [one.name for name in PROVIDERS for one in sent(name)]
    assert SHARE * len(every) <= len([one for one in on_the_wire if not listed(one)])
    assert len(on_the_wire) < len(every)
    assert all(fnmatch.filter(on_the_wire, pattern) for pattern in UNSEEN)
