"""Checks every peer in both directions: what it answers us, what it takes, and whether it ever reached us."""

from __future__ import annotations

import socket
import tempfile
from functools import cached_property, partial
from pathlib import Path

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    MRImageStorage,
    ParametricMapStorage,
    SegmentationStorage,
)

from node.catalog import site_catalog
from node.commitment.information import COMMITMENT_CLASS
from node.database.inspection import Contact, callers_from, contact_of
from node.delivery.probe import Greeting, greet
from node.delivery.proposal import CALLED_UNKNOWN, CALLING_UNKNOWN
from node.delivery.scu import Fate, classify, send_instances
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.doctor.entry import pacs_entry
from node.doctor.made_up import write_made_up_report
from node.doctor.port import addresses_of, is_loopback
from node.errors import DeliveryError, PeerRejects, PeerUntrusted
from node.peers import Peer
from node.settings import SENDER, Settings

RESULT_CLASSES = (SegmentationStorage, Comprehensive3DSRStorage, EnhancedSRStorage)
CLASSES_OF_OUTPUTS = {"map": ParametricMapStorage, "refinement": MRImageStorage}
LONGEST_PATIENCE_SECONDS = 10.0
CONNECTION_SECONDS = 3.0


class PeerVisit:
    """One peer of peers.toml, asked once; each check looks at one side of its answer."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Ask nothing yet."""
        self._settings = settings
        self.name = name
        self.peer: Peer = settings.peers[name]

    def checks(self, is_to_store: bool) -> list[Check]:
        """Return the checks of this peer; only with `is_to_store` is anything kept by it."""
        checks = [
            Check(f"peer {self.name}: we reach it", self.check_reached),
            Check(f"peer {self.name}: it takes results", self.check_contexts),
            Check(f"peer {self.name}: it reaches us", self.check_contact),
        ]
        if self.peer.commitment:
            checks.append(Check(f"peer {self.name}: it commits to results", self.check_commitment))
        if is_to_store:
            checks.append(Check(f"peer {self.name}: it stores", partial(self.check_store, self._settings)))
        return checks

    @cached_property
    def greeting(self) -> Greeting | DeliveryError:
        """Return what the peer said, or why it said nothing; asked once."""
        try:
            return greet(self._our_title, self.peer.address, self._proposed, self._patience_seconds)
        except DeliveryError as error:
            return error

    @property
    def _proposed(self) -> tuple[UID, ...]:
        return (*self._result_classes, UID(COMMITMENT_CLASS)) if self.peer.commitment else self._result_classes

    @cached_property
    def _result_classes(self) -> tuple[UID, ...]:
        """Return what results are: what every model makes, and what only models of enabled rules make."""
        models = site_catalog(self._settings).models
        named = {rule.model for rule in self._settings.enabled_rules} & models.keys()
        kinds = {output.kind for name in named for output in models[name].card.output.values()}
        return RESULT_CLASSES + tuple(uid for kind, uid in CLASSES_OF_OUTPUTS.items() if kind in kinds)

    def check_reached(self) -> Outcome:
        """Find a peer that does not answer, does not know us, or answers to another AE title."""
        greeting = self.greeting
        if isinstance(greeting, DeliveryError):
            return fault(str(greeting).partition("; ")[0], self._advise(greeting))
        who = greeting.implementation_version or greeting.implementation_class_uid
        if greeting.echo_seconds is None:
            return warning(f"{who} takes our association but no C-ECHO", "allow Verification there for our AE title")
        return fine(f"{who} answers C-ECHO in {1000 * greeting.echo_seconds:.1f} ms")

    def check_contexts(self) -> Outcome:
        """Find kinds of results that the peer would refuse, by proposing them without sending any."""
        greeting = self.greeting
        if isinstance(greeting, DeliveryError):
            return warning("not known, as it did not answer", "mend the connection first")
        refused = [uid for uid in self._result_classes if uid not in greeting.accepted]
        if not refused:
            return fine(", ".join(uid.name for uid in self._result_classes))
        found = f"refuses {', '.join(uid.name for uid in refused)} in Explicit VR Little Endian"
        if not self._gets_results:
            return fine(f"{found}; no rule sends it any")
        return fault(found, f"accept these SOP classes there: {', '.join(f'{uid.name} ({uid})' for uid in refused)}")

    def check_commitment(self) -> Outcome:
        """Find a peer that is to be asked for storage commitment but knows none; how it reports is told as well."""
        greeting = self.greeting
        if isinstance(greeting, DeliveryError):
            return warning("not known, as it did not answer", "mend the connection first")
        if COMMITMENT_CLASS not in greeting.accepted:
            return fault(
                "refuses Storage Commitment Push Model",
                f"switch it on there, or take commitment = true out of [peer.{self.name}]; until `commitment_days` "
                "are over, nothing that is sent to it leaves our disk",
            )
        ours = pacs_entry(self._settings, self.name)
        return fine(
            "accepts Storage Commitment Push Model; it must know our AE title "
            f"{ours.ae_title} at {ours.host}:{ours.port}, as told below, to report back"
        )

    def check_contact(self) -> Outcome:
        """Find a peer that never asked us for an association, or whom we turn away; only the peer can try it."""
        file, title = self._settings.database_file, self.peer.ae_title
        contact = contact_of(file, title) if file.is_file() else None
        if contact is None:
            return warning(
                f"no association from {title} so far{self._name_others()}",
                "enter us there as told below, and send an echo from there",
            )
        found = f"{contact.count} associations, the last at {contact.last_at:%Y-%m-%d %H:%M} UTC"
        found += f" from {contact.last_address}"
        if contact.last_ending.startswith("rejected"):
            return fault(f"{found}, which we {contact.last_ending}", self._advise_on_rejection(contact))
        if contact.last_called != self._our_title:
            return warning(
                f"{found}, which called {contact.last_called!r}", f"enter {self._our_title!r} as our AE title there"
            )
        return fine(found)

    def check_store(self, settings: Settings) -> Outcome:
        """Find a peer that takes associations but keeps nothing, with a report of nobody."""
        if not self.peer.doctor_store:
            return warning("not tried", f"set doctor_store = true in [peer.{self.name}] if it may keep a test report")
        if isinstance(self.greeting, DeliveryError):
            return warning("not tried, as it did not answer", "mend the connection first")
        with tempfile.TemporaryDirectory() as folder:
            path = write_made_up_report(Path(folder) / "report.dcm", settings.node.ae_title)
            try:
                (answer,) = send_instances(self._our_title, self.peer.address, [path], self._patience_seconds)
            except DeliveryError as error:
                return fault(str(error).partition("; ")[0], "see the peer's log")
        if classify(answer.status) is not Fate.SENT:
            return fault(f"answered {answer.text}", "see the peer's log; allow our AE title to store there")
        return fine(f"took a report of RADNODE^DOCTOR ({answer.text})")

    @property
    def _our_title(self) -> str:
        return self._settings.node.ae_title

    @property
    def _patience_seconds(self) -> float:
        return min(self._settings.delivery.timeout_seconds, LONGEST_PATIENCE_SECONDS)

    @property
    def _gets_results(self) -> bool:
        return any({self.name, SENDER} & set(rule.destination) for rule in self._settings.enabled_rules)

    def _name_others(self) -> str:
        """Return what else called from the peer's addresses: it may use another AE title than we know."""
        file = self._settings.database_file
        if not file.is_file() or is_loopback(self.peer.host):
            return ""
        others = sorted(callers_from(file, addresses_of(self.peer.host)))
        return f", but from {', '.join(others)} at its address" if others else ""

    def _advise_on_rejection(self, contact: Contact) -> str:
        if contact.last_called != self._our_title:
            return f"it called {contact.last_called!r}: enter {self._our_title!r} as our AE title there"
        if "address" in contact.last_ending:
            return f'if that is its address, add calls_from = ["{contact.last_address}"] to [peer.{self.name}]'
        return "see the limits in [dicom] of node.toml, and restart the node if peers.toml was changed since"

    def _advise(self, error: DeliveryError) -> str:
        """Return what to do about a peer that does not let us in, by the reason it gave (PS3.8 9.3.4)."""
        if isinstance(error, PeerUntrusted):
            return str(error).partition("; ")[2]
        if not isinstance(error, PeerRejects):
            return _advise_on_way(self.peer)
        if error.code[1:] == CALLING_UNKNOWN:
            return f"it does not know us: add the AE title {self._our_title!r} there, as told below"
        if error.code[1:] == CALLED_UNKNOWN:
            return f"it is not called {self.peer.ae_title!r}: correct ae_title in [peer.{self.name}] of peers.toml"
        return f"see its log; it may want {self._our_title!r} in its list, or be too busy"


def _advise_on_way(peer: Peer) -> str:
    """Return what to do about a peer that gave no answer, by how far a bare connection gets."""
    try:
        socket.create_connection((peer.host, peer.port), CONNECTION_SECONDS).close()
    except ConnectionRefusedError:
        return f"nothing listens on {peer.host}:{peer.port}: start it, or correct port in peers.toml"
    except socket.gaierror:
        return f"no address is known for {peer.host!r}: correct host in peers.toml, or ask for an entry in the DNS"
    except OSError:
        return f"{peer.host} does not answer: is it on, is host right in peers.toml, does a firewall let us through?"
    return f"something listens on {peer.host}:{peer.port} but speaks no DICOM: correct port in peers.toml, see its log"
