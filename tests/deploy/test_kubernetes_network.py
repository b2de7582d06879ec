"""Who may speak to whom: worked out from the policies of each overlay, and held against a table."""

import ipaddress
from dataclasses import dataclass, field

import pytest

from tests.deploy.cluster import NAMES, of_kind, part_of, templates
from tests.deploy.kustomize import Object

NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A pod of some namespace, or an address outside."""

    address: str = "10.0.0.1"
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None  # None: no pod of this cluster


OUTSIDE = {
    "internet": Peer(address="93.184.216.34"),
    "internet-6": Peer(address="2600:1406::1"),
    "metadata": Peer(address="169.254.169.254"),  # of a cloud's machine: its credentials
    "private": Peer(address="10.20.30.40"),
    "private-6": Peer(address="fd00::1"),
    "dns": Peer(labels={"k8s-app": "kube-dns"}, namespace="kube-system"),
    "nginx": Peer(namespace="ingress-nginx"),
    "gateway": Peer(namespace="gateway"),
    "prometheus": Peer(namespace="monitoring"),
    "stranger": Peer(labels={"app.kubernetes.io/component": "web"}, namespace="default"),
    "managed-postgres": Peer(address="192.0.2.1"),
    "operator": Peer(namespace="cnpg-system"),
}
PORTS = (53, 443, 465, 587, 5432, 6379, 8000, 9100)
ALL = ("web", "live", "sender", "sweep", "worker", "migrate", "redis")

# To it, by port: from whom. What is not here cannot be reached.
TABLE = {
    ("redis", 6379): {"web", "live", "sender", "sweep", "worker"},
    ("dns", 53): set(ALL),
    ("internet", 443): {"web", "sender"},
    ("internet", 465): {"web"},
    ("internet", 587): {"web"},
    ("web", 9100): {"prometheus"},
    ("live", 9100): {"prometheus"},
    **{(part, 8000): {"prometheus"} for part in ("web", "live", "sender", "sweep", "worker")},
    **{(part, 9100): {"prometheus"} for part in ("web", "live", "sender", "sweep", "worker")},
}
TO_POSTGRES = {"web", "live", "sender", "sweep", "worker", "migrate"}
TO_STORAGE = {"web", "live", "sweep", "worker"}


def _expected(name: str) -> set[tuple[str, str, int]]:
    table = {key: set(who) for key, who in TABLE.items()}
    monitored = name in ("gpu", "spot")
    if not monitored:
        table = {key: who - {"prometheus"} for key, who in table.items()}
    door = "gateway" if name == "other" else "nginx"
    for part in ("web", "live"):
        table[part, 8000].add(door)
    if name != "small":
        table["internet", 443] |= TO_STORAGE
    for port in (443, 465, 587):
        table["internet-6", port] = set(table["internet", port])
    if name == "other":
        table["dns", 53].add("models")
        table["internet", 443].add("models")
        table["internet-6", 443].add("models")
        table["managed-postgres", 5432] = set(TO_POSTGRES)
        for port in (443, 465, 587):  # an address of the internet like any other
            table["managed-postgres", port] = set(table["internet", port])
    else:
        table["postgres", 5432] = TO_POSTGRES | {"postgres", "operator"}
        table["postgres", 8000] = {"postgres", "operator"}
        table["dns", 53].add("postgres")
        for to in OUTSIDE:  # the cluster's API, whose address differs from cluster to cluster
            table.setdefault((to, 443), set()).add("postgres")
        for port in (443, 465, 587):
            table.setdefault(("managed-postgres", port), set()).update(table["internet", port])
    return {(source, to, port) for (to, port), who in table.items() for source in who}


def _peers(name: str) -> dict[str, Peer]:
    peers = dict(OUTSIDE)
    for _, template in templates(name):
        peers[part_of(template)] = Peer(labels=template["metadata"]["labels"], namespace="t2v")
    if of_kind(name, "Cluster"):
        peers["postgres"] = Peer(labels={"cnpg.io/cluster": "postgres"}, namespace="t2v")
    return peers


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def _is_named(rule: Object, peer: Peer) -> bool:
    """rule: an entry of `from` or `to`."""
    if "ipBlock" in rule:
        # A pod's address is none of the internet's; services outside are addresses.
        if peer.namespace is not None:
            return False
        address = ipaddress.ip_address(peer.address)
        inside = [
            address in ipaddress.ip_network(block)
            for block in [rule["ipBlock"]["cidr"], *rule["ipBlock"].get("except", [])]
            if ipaddress.ip_network(block).version == address.version
        ]
        return bool(inside) and inside[0] and not any(inside[1:])
    if peer.namespace is None:
        return False
    if "namespaceSelector" in rule:
        if not _selects(rule["namespaceSelector"], {NAMESPACE: peer.namespace}):
            return False
    elif peer.namespace != "t2v":
        return False
    return _selects(rule.get("podSelector", {}), peer.labels)


def _allows(policies: list[Object], way: str, mine: Peer, other: Peer, port: int) -> bool:
    """way: Ingress into mine, or Egress out of it."""
    if mine.namespace != "t2v":
        return True  # other namespaces' own matter
    about = [
        each["spec"]
        for each in policies
        if way in each["spec"]["policyTypes"] and _selects(each["spec"]["podSelector"], mine.labels)
    ]
    if not about:
        return True
    side = "from" if way == "Ingress" else "to"
    return any(
        any(_is_named(each, other) for each in rule[side]) if side in rule else True
        for spec in about
        for rule in spec.get(way.lower(), [])
        if any(allowed["port"] == port for allowed in rule["ports"])
    )


@pytest.mark.parametrize("name", NAMES)
def test_who_reaches_whom_is_what_the_table_says(name: str) -> None:
    policies = of_kind(name, "NetworkPolicy")
    peers = _peers(name)
    ours = {each for each, peer in peers.items() if peer.namespace == "t2v"}
    assert set(ALL) <= ours
    reached = {
        (source, to, port)
        for source, one in peers.items()
        for to, another in peers.items()
        for port in PORTS
        if {source, to} & ours
        if source != to or source == "postgres"
        if _allows(policies, "Egress", one, another, port)
        and _allows(policies, "Ingress", another, one, port)
    }
    assert reached == _expected(name)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_policy_nothing_is_allowed(name: str) -> None:
    (nothing,) = [
        each for each in of_kind(name, "NetworkPolicy") if each["metadata"]["name"] == "nothing"
    ]
    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (space,) = of_kind(name, "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
