"""One claimed job, from the instance in the archive to results on disk and a committed row."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy.orm import joinedload

from node.archive import Archive
from node.catalog import Catalog, Model
from node.database import Database, Job, JobInput
from node.errors import IdentityMismatch, StudyRefused
from node.imaging.budget import PixelBudget
from node.imaging.volume import Volume
from node.inference.analysis import Analysis, Gate, Inputs, analyse
from node.inference.doubts import find_doubts
from node.inference.loading import load_part
from node.inference.serving import ServedNetwork, Serving, load_network
from node.jobs.queue import Claim, JobQueue, StoredResult
from node.results.encode import encode_results
from node.results.identity import check_results
from node.results.key_image import picture_of
from node.results.predecessors import earlier_reports
from node.results.request import KeyPicture, NodeDevice, ResultObject, ResultRequest


@dataclass(frozen=True)
class Station:
    """What is the same for every job: the AE title that results state as their device, the pixel budget, and so on.

    An image of more than `most_samples` is refused; `doubts_identity` notes estimates that disagree with the header;
    without `serving` every network is Keras'.
    """

    ae_title: str
    most_samples: int
    doubts_identity: bool = False
    serving: Serving | None = None


class Execution:
    """Runs claimed jobs with networks that stay loaded."""

    def __init__(
        self, database: Database, archive: Archive, catalog: Catalog, queue: JobQueue, station: Station
    ) -> None:
        """Read instances from `archive`, of no more samples than the station allows."""
        self._database = database
        self._archive = archive
        self._catalog = catalog
        self._queue = queue
        self._station = station
        self._device = NodeDevice(station.ae_title, version("radnode"))
        self._networks: dict[str, ServedNetwork] = {}

    def warm_up(self, model: str) -> None:
        """Load a model's network and its gate's, and let each answer once."""
        self._network(model).warm_up()
        gate = self._catalog[model].gate
        if gate is not None:
            self._network(gate.card.name).warm_up()

    def run(self, claim: Claim) -> None:
        """Run one job to its end: done with results, refused with the reason, or held with its study.

        Any other error is the caller's to record as a failed attempt.
        """
        try:
            job = self._load(claim)
            inputs = self._read(job)
            model = self._catalog[claim.model]
            model.require(claim.model_sha256)
            analysis = self._analyse(inputs, model)
            analysed = time.perf_counter()
            results = self._encode(job, inputs, analysis)
        except StudyRefused as refusal:
            self._queue.refuse(claim, str(refusal))
            return
        except IdentityMismatch as mismatch:
            self._queue.hold(claim, str(mismatch))
            return
        stored = [self._store(result) for result in results]
        kept_ms = round((time.perf_counter() - analysed) * 1000, 1)
        doubts = self._doubts(inputs, analysis, self._catalog[claim.model])
        self._queue.finish(claim, stored, analysis.embedding, doubts, **analysis.durations_ms, encode_ms=kept_ms)

    def _analyse(self, inputs: Inputs, model: Model) -> Analysis:
        gate = None
        if model.gate is not None:
            gate = Gate(model.gate, self._network(model.gate.card.name).predict)
        threads = self._station.serving.threads if self._station.serving is not None else 0
        return analyse(inputs, model, self._network(model.card.name).predict, gate, threads)

    def _doubts(self, inputs: Inputs, analysis: Analysis, model: Model) -> tuple[str, ...]:
        """Return why the images may not be the patient's, where the site wants to know."""
        if not self._station.doubts_identity:
            return ()
        return find_doubts(analysis.description.conclusions, model.card.output, inputs[analysis.role][0])

    def _network(self, name: str) -> ServedNetwork:
        """Return a model's network, loaded once together with its code: only what its identity was made of."""
        if name not in self._networks:
            model = self._catalog[name]
            sha256 = model.identity.sha256  # before anything of it is loaded
            network = load_network(model, self._station.serving)
            load_part(model.folder, "preprocess")  # now, so that one swap takes network and code or neither
            model.seen_again().require(sha256)
            self._networks[name] = network
        return self._networks[name]

    def _load(self, claim: Claim) -> Job:
        with self._database.reading() as session:
            options = (
                joinedload(Job.study),
                joinedload(Job.inputs).joinedload(JobInput.instance),
                joinedload(Job.predecessor).selectinload(Job.results),
            )
            return session.get_one(Job, claim.job_id, options=options)

    def _read(self, job: Job) -> dict[str, list[Dataset]]:
        """Return the job's instances by the input they belong to, before anything of them is decoded."""
        inputs: dict[str, list[Dataset]] = defaultdict(list)
        budget = PixelBudget(self._station.most_samples)
        read = self._archive.read_all(entry.instance.path for entry in job.inputs)
        for entry, source in zip(job.inputs, read, strict=True):
            _check_patient(source)
            budget.spend(source)
            inputs[entry.role].append(source)
        return inputs

    def _encode(self, job: Job, inputs: Inputs, analysis: Analysis) -> tuple[ResultObject, ...]:
        """Encode the findings and check that every object belongs to the instances as they lie on disk by now."""
        volume = analysis.image if isinstance(analysis.image, Volume) else None
        request = ResultRequest(
            sources=tuple(inputs[analysis.role]),
            findings=analysis.description.findings,
            conclusions=analysis.description.conclusions,
            maps=analysis.description.maps,
            refinements=analysis.description.refinements,
            remarks=analysis.remarks,
            model=self._catalog[job.model].identity,
            inputs_digest=job.inputs_digest,
            pinned_at=job.created_at,
            device=self._device,
            slice_sources=volume.sources if volume else (),
            grid=volume.grid if volume else None,
            picture=_key_picture(analysis),
            replaces=earlier_reports(job),
        )
        results = encode_results(request)
        on_disk = list(self._archive.read_all((entry.instance.path for entry in job.inputs), pixels=False))
        written = [dcmread(BytesIO(result.encoded), stop_before_pixels=True) for result in results]
        check_results(written, on_disk, job.study.identity, request.replaces)
        return results

    def _store(self, result: ResultObject) -> StoredResult:
        path, sha256 = self._archive.store_result(result.encoded)
        return StoredResult(
            kind=str(result.kind),
            sop_class_uid=result.sop_class_uid,
            sop_instance_uid=result.sop_instance_uid,
            series_instance_uid=result.series_instance_uid,
            path=path,
            sha256=sha256,
        )


def _key_picture(analysis: Analysis) -> KeyPicture | None:
    """Return the picture to draw the findings on, for viewers that show nothing else."""
    described = analysis.description
    if not described.findings and not described.conclusions:
        return None
    return picture_of(analysis.image, described.findings, described.conclusions)


def _check_patient(source: Dataset) -> None:
    """Refuse an instance without PatientID: nothing would tie its results to a patient."""
    if not source.get("PatientID"):
        raise StudyRefused(
            f"instance {source.SOPInstanceUID}: PatientID is empty; a result could be put on the wrong "
            "patient; have the sender fill it in and send the study again"
        )
