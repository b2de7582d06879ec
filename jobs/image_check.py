"""Whether the bytes on standard input are one harmless picture: a process of its own.

    python -I image_check.py < upload    →  one line of JSON, then the picture made anew

The line is {"width", "height", "kind", "size"} and size bytes of PNG follow, in RGB, turned
upright, with none of the upload's metadata; or {"refused": why}. Run as a file (jobs/images.py): it
imports nothing of the site, and is all that ever decodes what a stranger sent.
"""

import io
import json
import resource
import struct
import sys
import warnings

from PIL import Image, ImageFile, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 16_777_216  # 4096 × 4096; as RGB 50 MB, and no video model reads a hundredth of it
MAX_SIDE = 8192  # pixels
MEMORY_BYTES = 640 * 1024 * 1024  # address space: 80 MB of Python, the rest for three such pictures
CPU_SECONDS = 8
NOT_ONE = "It is not one whole PNG, JPEG or WebP picture."


class Refused(Exception):
    pass


def confine() -> None:
    """No more memory, time, files or processes than one picture takes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))


def check(content: bytes) -> tuple[str, Image.Image]:
    """Its kind by its bytes, and the picture. Raises Refused."""
    kind = _kind(content)
    if end_of(kind, content) != len(content):
        raise Refused(
            "More follows after the picture's end: a file must be one picture and no more."
        )
    try:
        picture = Image.open(io.BytesIO(content), formats=[kind])
        width, height = picture.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise Refused(
                f"It has {width}×{height} pixels; at most {MAX_PIXELS:,} and {MAX_SIDE} a side."
            )
        if getattr(picture, "n_frames", 1) != 1:
            raise Refused("It moves, or holds several pictures; send one.")
        picture.load()
        return kind, _upright(picture)
    except Refused:
        raise
    except MemoryError:
        raise Refused("It takes more memory than a picture should.") from None
    except Exception:
        # Whatever Pillow stumbles over was not a picture; the words could quote the file.
        raise Refused(NOT_ONE) from None


def _upright(picture: Image.Image) -> Image.Image:
    """As its EXIF says that it is to be looked at, in RGB; black where it lets light through."""
    turned = ImageOps.exif_transpose(picture)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        ground = Image.new("RGBA", turned.size, "black")
        turned = Image.alpha_composite(ground, turned)
    return turned.convert("RGB")


def _kind(content: bytes) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    raise Refused("It is no PNG, JPEG or WebP picture, whatever its name says.")


def end_of(kind: str, content: bytes) -> int:
    """Where the picture ends by its own structure. Raises Refused where it has no end."""
    try:
        return {"PNG": _end_of_png, "JPEG": _end_of_jpeg, "WEBP": _end_of_webp}[kind](content)
    except (IndexError, struct.error):
        raise Refused("It ends in the middle.") from None


def _end_of_png(content: bytes) -> int:
    at = 8
    while True:
        (length,) = struct.unpack_from(">I", content, at)
        kind, at = content[at + 4 : at + 8], at + 12 + int(length)
        if kind == b"acTL":
            raise Refused("It moves, or holds several pictures; send one.")
        if kind == b"IEND":
            return at
        if at > len(content):
            raise IndexError


def _end_of_webp(content: bytes) -> int:
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        raise IndexError
    return int(length) + 8


def _end_of_jpeg(content: bytes) -> int:
    at, length = 2, 0
    while True:
        if content[at] != 0xFF:
            raise Refused(NOT_ONE)
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0xD9:
            return at + 2
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", content, at + 2)
            at += 2 + max(2, length)
            if marker == 0xDA:
                at = _after_scan(content, at)


def _after_scan(content: bytes, at: int) -> int:
    """The next marker that is neither a stuffed byte nor a restart."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0:
            raise IndexError
        if content[at + 1] != 0 and not 0xD0 <= content[at + 1] <= 0xD7:
            return at
        at += 2


def main() -> None:
    confine()
    warnings.simplefilter("error")  # Pillow warns of bombs before it refuses them
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    anew = io.BytesIO()
    try:
        if len(content) > MAX_BYTES:
            raise Refused(f"At most {MAX_BYTES // 2**20} MB.")
        kind, picture = check(content)
        picture.save(anew, "PNG", compress_level=1)
        told: dict[str, object] = {
            "width": picture.width,
            "height": picture.height,
            "kind": kind,
            "size": anew.tell(),
        }
    except Refused as refused:
        told, anew = {"refused": str(refused)}, io.BytesIO()
    except MemoryError:
        told, anew = {"refused": "It takes more memory than a picture should."}, io.BytesIO()
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    sys.stdout.buffer.write(anew.getbuffer())


if __name__ == "__main__":
    main()
