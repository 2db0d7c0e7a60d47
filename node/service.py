"""The node process: builds every part once, starts them in order and stops them in reverse."""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import AllTransferSyntaxes

from node.archive import Archive
from node.archive.disk import make_folder
from node.archive.journal import Journal, JournalSize
from node.archive.lock import lock_folder
from node.association import CommitmentService, Listener, ListenerSettings
from node.audit.sinks import DailyFile, Sink, Syslog, SyslogServer
from node.audit.trail import AuditTrail
from node.catalog import site_catalog
from node.clock import Clock
from node.commitment.judgement import Judgement
from node.commitment.pledges import Pledges
from node.commitment.questions import Questions
from node.commitment.requests import RequestBook
from node.database import EventName, record_event
from node.database.opening import open_whole
from node.delivery.commitment_reports import CommitmentReports
from node.delivery.couriers import Couriers
from node.delivery.inquiries import Inquiries
from node.delivery.outbox import Outbox
from node.delivery.retention import Retention
from node.inference.supervisor import Supervisor
from node.jobs.queue import JobQueue
from node.logs import log_failure
from node.settings import AuditSection, Settings
from node.studies.assembly import Assembly
from node.studies.index import InstanceIndex
from node.studies.reconciliation import Reconciliation

logger = logging.getLogger("radnode.service")

TICK_SECONDS = 0.1
RETENTION_SECONDS = 60.0
INQUIRY_SECONDS = 1.0
AUDIT_SECONDS = 1.0


class Node:
    """Everything that runs in the node process; the networks run in workers it starts."""

    def __init__(self, config: Path, settings: Settings, clock: Clock) -> None:
        """Build all parts; raises SettingsError when another node uses the same data folder."""
        self._settings = settings
        self._clock = clock
        data = settings.node.data
        make_folder(data)
        self._lock = lock_folder(data)
        self._database = open_whole(settings.database_file)
        kept = settings.archive
        size = JournalSize.of(kept.journal_mb)
        self._journal = Journal(data, clock.boot_id, self._database.sync, size, is_flushed=kept.is_flushed)
        self._archive = Archive(data, kept.reserve_bytes, self._journal)
        flushes_instances = kept.is_flushed and not kept.journal_mb
        self._index = InstanceIndex(self._database, clock, flushes_instances=flushes_instances)
        self._reconciliation = Reconciliation(self._database, self._archive, self._index, clock)
        self._catalog = site_catalog(settings)
        self._queue = JobQueue(
            self._database, clock, settings.workers.lease_seconds, settings.workers.attempts
        )
        assembly = Assembly(self._database, settings, self._catalog, clock)
        outbox = Outbox(self._database, self._archive, settings, clock, random.Random())
        self._couriers = Couriers(outbox)
        pledges = Pledges(self._database, settings.delivery, clock)
        questions = Questions(self._database, settings, clock)
        self._inquirers = Couriers(Inquiries(questions, pledges, settings, clock, random.Random()))
        self._retention = Retention(self._database, self._archive, clock, settings.archive.keep_days)
        self._supervisor = Supervisor(config, settings, self._queue)
        self._judgement = Judgement(self._database, self._archive, clock)
        self._reporters = Couriers(CommitmentReports(self._database, settings, clock, random.Random()))
        commitment = CommitmentService(RequestBook(self._database, settings, clock), pledges)
        self._listener = Listener(_listener_settings(settings), self._archive, self._index, commitment)
        self._trail = AuditTrail(self._database, settings, _audit_sinks(settings.audit, data))
        self._loops = [
            Loop("late rows", self._listener.settle_late, TICK_SECONDS),
            Loop("ends of associations", self._index.record_ends, TICK_SECONDS),
            Loop("assembly", assembly.complete_quiet_studies, TICK_SECONDS),
            Loop("couriers", self._couriers.dispatch, TICK_SECONDS),
            Loop("judgement", self._judgement.judge_asked, TICK_SECONDS),
            Loop("reporters", self._reporters.dispatch, TICK_SECONDS),
            Loop("inquirers", self._inquirers.dispatch, INQUIRY_SECONDS),
            Loop("pledges", questions.give_up, RETENTION_SECONDS),
            Loop("supervisor", self._supervisor.check, TICK_SECONDS),
            Loop("retention", self._retention.remove_expired, RETENTION_SECONDS),
            Loop("audit", self._trail.write_new, AUDIT_SECONDS),
        ]

    @property
    def port(self) -> int:
        """Return the port the SCP is bound to."""
        return self._listener.port

    def start(self) -> None:
        """Mend what an earlier run left behind, start the workers, and only then listen."""
        self._archive.sweep_incoming()
        arrivals = self._journal.replay(self._archive.put_back)
        self._retention.note_absence()  # before this start leaves an event itself
        self._index.close_stale_associations()
        self._queue.interrupt()  # so that no worker of an earlier run ends a job while files and rows are compared
        self._reconciliation.run(arrivals)
        self._journal.start(is_used=self._settings.archive.journal_mb > 0)
        self._queue.adopt_models(self._catalog.identities)
        self._supervisor.start()
        for loop in self._loops:
            loop.start()
        self._listener.start()
        self._record(EventName.NODE_STARTED, ae_title=self._settings.node.ae_title, port=self.port)

    def stop(self) -> None:
        """Let open associations, the job at hand and the object on the wire finish, within limits."""
        self._listener.drain(self._settings.dicom.drain_seconds)
        self._judgement.stop()
        for loop in self._loops:
            loop.stop()
        self._couriers.stop(self._settings.dicom.drain_seconds)
        self._reporters.stop(self._settings.dicom.drain_seconds)
        self._inquirers.stop(self._settings.dicom.drain_seconds)
        self._supervisor.stop(self._settings.dicom.drain_seconds)
        self._end_trail()
        self._journal.close()
        self._database.close()
        self._lock.close()

    def _end_trail(self) -> None:
        """Tell the audit trail that we stop; what it cannot be told now, it is told by the next start."""
        try:
            self._record(EventName.NODE_STOPPED)
            self._trail.write_new()
        except Exception as error:  # noqa: BLE001 - a node that stops must stop
            log_failure(logger, "end not recorded", error)

    def _record(self, name: EventName, **detail: Any) -> None:
        with self._database.writing() as session:
            record_event(session, self._clock.now(), name, None, **detail)


class Loop:
    """A thread that takes one step after another until it is stopped."""

    def __init__(self, name: str, step: Callable[[], object], pause_seconds: float) -> None:
        """Call `step` again and again, `pause_seconds` apart."""
        self._name = name
        self._step = step
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step at hand and end the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        """Step until stopped; a step that fails is logged and tried again, for its work is in the database."""
        while not self._stopping.wait(self._pause_seconds):
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - the loop must outlive whatever one study brings
                log_failure(logger, "step failed", error, loop=self._name)
                self._stopping.wait(1.0)


def forbid_decoding() -> None:
    """From now on decode no compressed pixels in this process: codecs run in workers, which are confined."""
    for syntax in AllTransferSyntaxes:
        with suppress(NotImplementedError):  # one that has no pixels
            decoder = get_decoder(syntax)
            for plugin in decoder.available_plugins:
                decoder.remove_plugin(plugin)


def _audit_sinks(settings: AuditSection, data: Path) -> list[Sink]:
    sinks: list[Sink] = [DailyFile(data / "audit")] if settings.file else []
    if settings.syslog:
        host, _, port = settings.syslog.rpartition(":")
        server = SyslogServer(
            host, int(port), settings.syslog_ca, settings.syslog_certificate, settings.syslog_key
        )
        sinks.append(Syslog(server, socket.getfqdn()))
    return sinks


def _listener_settings(settings: Settings) -> ListenerSettings:
    return ListenerSettings(
        ae_title=settings.node.ae_title,
        host=settings.dicom.host,
        port=settings.dicom.port,
        max_associations=settings.dicom.max_associations,
        max_associations_per_peer=settings.dicom.max_associations_per_peer,
        largest_instance_bytes=settings.dicom.largest_instance_bytes,
        tls=settings.tls,
        accepts_anyone=settings.accepts_anyone,
        peers=tuple(settings.peers.values()),
    )
