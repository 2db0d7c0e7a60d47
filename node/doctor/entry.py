"""What to type into each PACS so that it finds us, in the words of Orthanc and of dcm4chee."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

from node.doctor.port import EVERY_ADDRESS, is_loopback
from node.settings import Settings


@dataclass(frozen=True)
class PacsEntry:
    """How a peer is to know us, with the steps for two archives."""

    peer: str
    ae_title: str
    host: str
    port: int
    orthanc: tuple[str, ...]
    dcm4chee: tuple[str, ...]


def pacs_entries(settings: Settings) -> list[PacsEntry]:
    """Return for each peer what is to be entered there."""
    return [pacs_entry(settings, name) for name in settings.peers]


def pacs_entry(settings: Settings, name: str) -> PacsEntry:
    """Return what is to be entered in one peer."""
    host = _host_for(settings, settings.peers[name].host)
    ours = settings.node.ae_title, host, settings.dicom.port
    return PacsEntry(name, *ours, orthanc=orthanc_steps(*ours), dcm4chee=dcm4chee_steps(*ours))


def orthanc_settings(ae_title: str, host: str, port: int) -> dict[str, object]:
    """Return what orthanc.json needs so that Orthanc knows us and sends us what it receives."""
    return {
        "DicomModalities": {"radnode": [ae_title, host, port]},
        "LuaScripts": ["/etc/orthanc/radnode.lua"],
        "StableAge": 10,
    }


def orthanc_script(ae_title: str) -> str:
    """Return the Lua script that sends us each series that is complete, and never our own results."""
    return (
        "function OnStableSeries(seriesId, tags, metadata)\n"
        f"  if metadata['RemoteAET'] ~= '{ae_title}' then\n"
        "    RestApiPost('/modalities/radnode/store',\n"
        "      DumpJson({ Resources = { seriesId }, Asynchronous = true }, true))\n"
        "  end\n"
        "end\n"
    )


def orthanc_steps(ae_title: str, host: str, port: int) -> tuple[str, ...]:
    """Return the steps in Orthanc."""
    settings = orthanc_settings(ae_title, host, port).items()
    return (
        "In orthanc.json:",
        *(f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in settings),
        "In /etc/orthanc/radnode.lua:",
        *(f"  {line}" for line in orthanc_script(ae_title).splitlines()),
        "Restart Orthanc, then try: curl -X POST http://localhost:8042/modalities/radnode/echo -d '{}'",
        'If it refuses our results: "UnknownSopClassAccepted": true',
        'If it refuses us: our AE title must stand in "DicomModalities", or "DicomAlwaysAllowStore": true',
    )


def dcm4chee_steps(ae_title: str, host: str, port: int) -> tuple[str, ...]:
    """Return the steps in the web interface of dcm4chee-arc-light 5."""
    return (
        f"Configuration > AE list > New AET: device name radnode, AE title {ae_title}, host {host}, port {port}",
        "Configuration > AE list: the C-ECHO button beside it must succeed",
        "Configuration > Devices > More Functions > Create Exporter: device dcm4chee-arc, exporter ID RADNODE,",
        f"  URI dicom:{ae_title}, queue Export1, AE title DCM4CHEE",
        "Configuration > Devices > dcm4chee-arc > Extensions > Device Extension > Extensions > Archive Device",
        "  > Child objects > Export Rule: name radnode, entity Series, exporter ID RADNODE, export delay PT10S,",
        f"  condition SendingApplicationEntityTitle!={ae_title} (our own results stay there)",
        "Configuration > Control > Reload the configuration",
    )


def _host_for(settings: Settings, peer_host: str) -> str:
    """Return the address the peer sees us at: the one we listen on, or that of the way to the peer."""
    listening = settings.dicom.host
    if listening not in EVERY_ADDRESS and not (is_loopback(listening) and not is_loopback(peer_host)):
        return listening
    return local_address_towards(peer_host)


def local_address_towards(host: str) -> str:
    """Return this machine's address on the way to a host, or its name where there is no way; sends nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as way:
            way.connect(address)
            return str(way.getsockname()[0])
    except OSError:
        return socket.gethostname()
