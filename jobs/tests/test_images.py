"""Pictures that strangers send: what is let through, and how little it can do."""

import base64
import io
import json
import random
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile
from django.test import RequestFactory
from PIL import Image

from jobs import images
from jobs.errors import BadImage, ImagesBusy, TooLarge

SECRET = b"GPS 52.5200 13.4050 of my house"


def picture(kind: str, size: tuple[int, int] = (48, 32), **options: object) -> bytes:
    """A red left half and a blue right half."""
    image = Image.new("RGB", size, (200, 0, 0))
    image.paste((0, 0, 200), (size[0] // 2, 0, *size))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def moving(kind: str) -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few KB that says it has so many pixels, and has them."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = b"\0" * (width // 8 + 1)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """100 MB of text in a compressed chunk of a small picture."""
    whole = picture("PNG")
    text = b"Comment\0\0" + zlib.compress(bytes(100 * 2**20), 9)
    return whole[:33] + chunk(b"zTXt", text) + whole[33:]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_made_anew_from_its_pixels(kind: str) -> None:
    found = images.checked(picture(kind))
    assert (found.width, found.height, found.kind) == (48, 32, kind)
    again = Image.open(io.BytesIO(found.png))
    assert (again.format, again.mode, again.size) == ("PNG", "RGB", (48, 32))
    red, blue = again.getpixel((4, 16)), again.getpixel((44, 16))
    assert isinstance(red, tuple)
    assert isinstance(blue, tuple)
    assert red[0] > 150 > blue[0]
    assert blue[2] > 150 > red[2]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_of_an_uploads_metadata_is_left(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()  # a description
    content = picture(kind, exif=exif.tobytes())
    assert SECRET in content
    found = images.checked(content)
    assert SECRET not in found.png
    assert not Image.open(io.BytesIO(found.png)).getexif()
    assert b"eXIf" not in found.png


def test_a_picture_stands_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned
    found = images.checked(picture("JPEG", exif=exif.tobytes()))
    assert (found.width, found.height) == (32, 48)


def test_what_lets_light_through_is_laid_over_black() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (16, 16), (255, 255, 255, 0)).save(out, "PNG")
    again = Image.open(io.BytesIO(images.checked(out.getvalue()).png))
    assert again.getpixel((8, 8)) == (0, 0, 0)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "an SVG named .png": lambda: b'<?xml version="1.0"?><!DOCTYPE svg><svg/>',
    "a GIF": lambda: moving("GIF"),
    "a BMP": lambda: picture("BMP"),
    "a TIFF": lambda: picture("TIFF"),
    "an ICO": lambda: picture("ICO", size=(32, 32)),
    "a PDF": lambda: picture("PDF"),
    "an EPS": lambda: picture("EPS"),
    "text": lambda: b"hello",
    "noise": lambda: random.Random(1).randbytes(5000),
    "a PNG that moves": lambda: moving("PNG"),
    "a WebP that moves": lambda: moving("WEBP"),
    "an MPO of two pictures": lambda: moving("MPO"),
    "a bare PNG signature": lambda: b"\x89PNG\r\n\x1a\n",
    "half a PNG": lambda: picture("PNG", size=(64, 64))[:-40],
    "half a JPEG": lambda: picture("JPEG", size=(64, 64))[:-200],
    "half a WebP": lambda: picture("WEBP", size=(64, 64))[:-20],
    "a JPEG without its end": lambda: picture("JPEG")[:-2],
    "a JPEG and an archive": lambda: picture("JPEG") + b"PK\x03\x04" + bytes(40),
    "a PNG and an archive": lambda: picture("PNG") + b"PK\x03\x04" + bytes(40),
    "a PNG and a script": lambda: picture("PNG") + b"<script>alert(1)</script>",
    "a WebP and a PDF": lambda: picture("WEBP") + b"%PDF-1.7",
    "a PNG with a wrong sum": lambda: picture("PNG").replace(b"IDAT", b"IDAX"),
    "a hundred megapixels in a few KB": lambda: bomb(10_000, 10_000),
    "a very long line": lambda: bomb(2_000_000, 1),
    "sixteen thousand of side": lambda: bomb(16_384, 16),
    "a text bomb": text_bomb,
    "a JPEG head with huge sizes": lambda: picture("JPEG").replace(
        struct.pack(">HH", 32, 48), struct.pack(">HH", 65_000, 65_000), 1
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_not_one_whole_picture_is_refused_in_words_of_ours(what: str) -> None:
    with pytest.raises(BadImage) as refused:
        images.checked(HOSTILE[what]())
    assert refused.value.code == "bad_image"
    said = refused.value.fields["image"]
    assert said.endswith((".", "side."))
    assert "Traceback" not in said
    assert "PIL" not in said


def test_a_large_picture_within_the_limit_is_read() -> None:
    found = images.checked(picture("JPEG", size=(4096, 4096)))
    assert (found.width, found.height) == (4096, 4096)


def test_more_than_ten_megabytes_are_not_looked_at() -> None:
    with pytest.raises(TooLarge):
        images.checked(picture("PNG") + bytes(images.MAX_BYTES))
    with pytest.raises(BadImage):
        images.checked(b"")


def test_changed_bytes_are_a_picture_or_refused_and_nothing_else() -> None:
    chance = random.Random(7)
    for kind in ("PNG", "JPEG", "WEBP"):
        whole = picture(kind, size=(64, 64))
        for _ in range(6):
            changed = bytearray(whole)
            for _ in range(8):
                changed[chance.randrange(12, len(changed))] = chance.randrange(256)
            try:
                images.checked(bytes(changed))
            except BadImage:
                continue


def test_the_check_is_confined_and_holds_no_secret_of_the_site() -> None:
    code = (
        "import sys, json, os, resource; sys.path.insert(0, sys.argv[1]); import image_check;"
        "image_check.confine();"
        "kinds = ('AS', 'CPU', 'FSIZE', 'NPROC', 'CORE');"
        "print(json.dumps([{k: resource.getrlimit(getattr(resource, 'RLIMIT_' + k))[0]"
        " for k in kinds}, sorted(m for m in sys.modules if m.split('.')[0] in"
        " ('django', 'jobs', 'accounts', 'torch', 'numpy'))]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(images.CHECKER.parent)],
        capture_output=True,
        text=True,
        check=True,
        env={},
        timeout=30,
    )
    limits, modules = json.loads(done.stdout)
    assert limits["AS"] <= 640 * 2**20
    assert limits["CPU"] <= 8
    assert (limits["FSIZE"], limits["NPROC"], limits["CORE"]) == (0, 0, 0)
    assert modules == []


def test_a_check_that_outgrows_its_memory_or_time_is_a_bad_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hog = tmp_path / "hog.py"
    source = images.CHECKER.read_text(encoding="utf-8")
    wasteful = source.replace(
        "    content = sys.stdin", "    bytearray(2**31)\n    content = sys.stdin"
    )
    assert wasteful != source
    hog.write_text(wasteful, encoding="utf-8")
    monkeypatch.setattr(images, "CHECKER", hog)
    with pytest.raises(BadImage, match="within the limits"):
        images.checked(picture("PNG"))
    hog.write_text("import time; time.sleep(60)", encoding="utf-8")
    monkeypatch.setattr(images, "CHECK_SECONDS", 0.5)
    with pytest.raises(BadImage, match="too long"):
        images.checked(picture("PNG"))


def test_only_so_many_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    none_free = threading.BoundedSemaphore(1)
    none_free.acquire()
    monkeypatch.setattr(images, "_free", none_free)
    monkeypatch.setattr(images, "QUEUE_SECONDS", 0.05)
    with pytest.raises(ImagesBusy) as busy:
        images.checked(picture("PNG"))
    assert (busy.value.status, busy.value.retryable) == (503, True)


def test_an_upload_of_any_size_that_is_read_stays_off_the_disk() -> None:
    """Django's own handlers write what is larger than 2.5 MB into a file."""
    sent = SimpleUploadedFile("a.png", bytes(5 * 2**20))
    request = RequestFactory().post("/", {"input_reference": sent})
    upload = request.FILES["input_reference"]
    assert type(upload) is InMemoryUploadedFile
    assert upload.size == 5 * 2**20


def test_a_data_url_holds_the_picture_and_other_addresses_are_never_fetched() -> None:
    content = picture("WEBP")
    url = "data:image/webp;base64," + base64.b64encode(content).decode()
    assert images.from_data_url(url) == content
    for other in (
        "https://example.com/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "/etc/passwd",
        "data:image/png,plain",
        "data:image/png;base64,???",
        "data:",
        "",
    ):
        with pytest.raises(BadImage):
            images.from_data_url(other)
