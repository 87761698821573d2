# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A survey on a Dask cluster of two worker processes: the same results, also when a worker is killed, and TLS."""

from __future__ import annotations

import datetime
import ipaddress
import threading
from pathlib import Path

import pytest
from patience import PATIENCE_S, wait_for
from survey_inputs import Archive, results, survey

pytest.importorskip("distributed", reason="the extra `cluster` is not installed: run scripts/setup")

from dask_cluster import cluster

from crack_perception.cli.main import main
from crack_perception.errors import UserError
from crack_perception.survey import engine as engine_module
from crack_perception.survey.engine import ClusterOptions, Engine, cluster_engine
from crack_perception.survey.tasks import DONE

pytestmark = pytest.mark.slow


def test_survey_cluster_gives_the_same_files_also_when_a_worker_is_killed(archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines: list[str] = []
    with cluster(tmp_path / "cluster", 2) as running:
        killed = threading.Event()

        def kill() -> None:
            wait_for(lambda: len(list(out.glob(f"recordings/*/parts/*/{DONE}"))) >= 2, 4 * PATIENCE_S)
            running.workers[0].kill()
            killed.set()

        killer = threading.Thread(target=kill, daemon=True)
        with cluster_engine(ClusterOptions(running.address), 2, lines.append) as engine:
            assert engine.workers == 2
            killer.start()
            summary = survey([archive.recordings], out, engine)
        killer.join(PATIENCE_S)
        assert killed.is_set()
        assert running.workers[1].poll() is None
    assert any(line.startswith("Dashboard: http://") for line in lines)
    assert summary["problems"] == 0
    assert summary["frames"] == archive.summary["frames"]
    assert results(out) == results(archive.out)
    worst = [structure["worst"] for structure in summary["structures"]]
    assert worst == [structure["worst"] for structure in archive.summary["structures"]]


def test_survey_cluster_with_tls_encrypts_and_refuses_strangers(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, cert, key = _certificates(tmp_path)
    files = ["--tls-ca-file", str(ca), "--tls-cert", str(cert), "--tls-key", str(key)]
    tower = archive.recordings / "tower"
    with cluster(tmp_path / "cluster", 1, *files) as running:
        assert running.address.startswith("tls://")
        command = ["survey", str(tower), "--out", str(tmp_path / "out"), "--model", "nano", "--part", "1"]
        command += ["--cluster", running.address]
        assert main([*command, "--tls-ca", str(ca), "--tls-cert", str(cert), "--tls-key", str(key)]) == 0
        assert "Dashboard: " in capsys.readouterr().err
        (tmp_path / "foreign").mkdir()
        _, foreign_cert, foreign_key = _certificates(tmp_path / "foreign")
        for stranger in (
            ClusterOptions(running.address, timeout_s=3.0),
            ClusterOptions(running.address, ca, foreign_cert, foreign_key, timeout_s=3.0),
        ):
            with pytest.raises(UserError, match="cannot be reached"), cluster_engine(stranger, None, print):
                pass
    of_tower = {name: data for name, data in results(archive.out).items() if name in results(tmp_path / "out")}
    assert results(tmp_path / "out") == of_tower


def test_cluster_engine_asks_for_workers_and_repeats_no_error(tmp_path: Path) -> None:
    with (
        cluster(tmp_path / "cluster", 1) as running,
        cluster_engine(ClusterOptions(running.address), None, lambda line: None) as engine,
    ):
        assert engine.capacity() == 1
        running.join()
        wait_for(lambda: engine.capacity() == 2, PATIENCE_S)
        tries = tmp_path / "tries"
        program = f"open({str(tries)!r}, 'a').write('tried\\n'); raise ValueError('bad recording')"
        with pytest.raises(ValueError, match="bad recording"):
            engine.submit(exec, program).result(PATIENCE_S)
        assert tries.read_text() == "tried\n"


def test_survey_scheduler_that_goes_away_in_mid_run_is_named_and_this_machine_goes_on(
    archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with (
        cluster(tmp_path / "cluster", 1) as running,
        cluster_engine(ClusterOptions(running.address), None, lambda line: None) as remote,
    ):

        def kill() -> None:
            wait_for(lambda: any(out.glob(f"recordings/*/parts/*/{DONE}")), 4 * PATIENCE_S)
            running.scheduler.kill()

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        with pytest.raises(UserError, match=f"the connection to .*{running.address} is lost. Start it again"):
            survey([archive.recordings], out, remote)
        killer.join(PATIENCE_S)
    assert not (out / "survey.json").exists()
    finished = list(out.glob(f"recordings/*/parts/*/{DONE}"))
    assert finished
    summary = survey([archive.recordings], out, engine)
    assert summary["problems"] == 0
    assert results(out) == results(archive.out)


def test_cluster_engine_worker_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    version = engine_module.metadata.version

    def is_here(name: str, other: str) -> None:
        monkeypatch.setattr(engine_module, "_version", lambda asked: other if asked == name else version(asked))

    with cluster(tmp_path / "cluster", 1) as running:
        is_here("numpy", "0.1")
        with cluster_engine(ClusterOptions(running.address), None, lines.append):
            assert any("numpy " in line and "this machine 0.1: last digits may differ" in line for line in lines)
        is_here("crack_perception", "0.0.9")
        with (
            pytest.raises(UserError, match=r"has crack_perception \S+, this machine 0\.0\.9. Install the same version"),
            cluster_engine(ClusterOptions(running.address), None, lines.append),
        ):
            pass


def test_cluster_engine_without_scheduler_reports_the_address(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"tls_missing\.pem"),
        cluster_engine(ClusterOptions("tls://127.0.0.1:1", tmp_path / "tls_missing.pem"), None, print),
    ):
        pass


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Write an authority, and certificate and key that it has signed for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def signed(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        )
        if name == issuer:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    paths = tuple(folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    paths[0].write_bytes(signed("authority", authority, "authority", authority))
    paths[1].write_bytes(signed("node", own, "authority", authority))
    paths[2].write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths[0], paths[1], paths[2]
