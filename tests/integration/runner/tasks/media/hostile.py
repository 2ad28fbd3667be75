"""Files that are not what they say, made by hand or by ffmpeg. Each function writes one and returns its path."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import soundfile

CANARY = b"CANARY-7f3a91"


def ffmpeg(folder: Path, name: str, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, name], cwd=folder, check=True, timeout=110)
    return folder / name


def canaries(folder: Path) -> None:
    """Another tenant's files, beside the source: their bytes must never be in an output."""
    tag = ["-metadata", f"title={CANARY.decode()}", "-metadata", f"comment={CANARY.decode()}"]
    tone = ["-f", "lavfi", "-i", "sine=1000:duration=1"]
    for name in ("canary.mp3", "canary.flac", "canary.wav"):
        ffmpeg(folder, name, *tone, *tag)
    ffmpeg(folder, "canary.mp4", *tone, "-f", "lavfi", "-i", "testsrc=duration=1:size=64x64", "-shortest", *tag)
    (folder / "canary.srt").write_bytes(b"1\n00:00:00,000 --> 00:00:01,000\n" + CANARY + b"\n")
    (folder / "canary.txt").write_bytes(CANARY)


def lists(folder: Path, foreign: str) -> dict[str, bytes]:
    """Texts that tell a player to open another file, by name."""
    other = folder / foreign
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image href="{foreign}" '
    texts = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "hls-relative": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{foreign}\n#EXT-X-ENDLIST\n",
        "m3u": f"#EXTM3U\n#EXTINF:5,song\n{other}\n",
        "ffconcat": f"ffconcat version 1.0\nfile {foreign}\n",
        "ffconcat-absolute": f"ffconcat version 1.0\nfile '{other}'\n",
        "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n",
        "svg": f'{svg} xlink:href="file://{other}" width="9" height="9"/></svg>',
        "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period><AdaptationSet>"
        f"<Representation><BaseURL>{foreign}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "ffmetadata": f";FFMETADATA1\ntitle={foreign}\n",
        "subtitles": f"1\n00:00:00,000 --> 00:00:05,000\n{{\\fn}}file://{other}\n",
    }
    return {name: text.encode() for name, text in texts.items()}


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def avi_with_foreign_subtitles(folder: Path, foreign: str) -> bytes:
    """An AVI whose subtitle stream (GAB2) holds an HLS list of another file: the attack of 2017."""
    playlist = lists(folder, foreign)["hls"]
    gab2 = b"GAB2\0" + struct.pack("<HI", 2, 0) + struct.pack("<HI", 4, len(playlist)) + playlist
    head = struct.pack("<14I", 40_000, 0, 0, 0, 1, 0, 1, 0, 64, 64, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIII4H", b"txts", b"\0" * 4, 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    streams = _chunk(b"LIST", b"strl" + _chunk(b"strh", stream) + _chunk(b"strf", b""))
    header = _chunk(b"LIST", b"hdrl" + _chunk(b"avih", head) + streams)
    body = _chunk(b"LIST", b"movi" + _chunk(b"00tx", gab2))
    return _chunk(b"RIFF", b"AVI " + header + body)


def wav_that_claims(seconds: int, rate: int = 8_000) -> bytes:
    """A header of 8-bit mono that promises so long, and one second of sound."""
    fmt = struct.pack("<HHIIHH", 1, 1, rate, rate, 1, 8)
    size = seconds * rate
    return (
        b"RIFF" + struct.pack("<I", min(size + 36, 2**32 - 1)) + b"WAVE" + _chunk(b"fmt ", fmt)
        + b"data" + struct.pack("<I", size) + b"\x80" * rate
    )  # fmt: skip


def floats_that_are_no_numbers(path: Path) -> Path:
    sound = np.sin(np.arange(44_100) * 0.05).astype(np.float32)[:, None].repeat(2, axis=1)
    sound[1_000:2_000] = np.nan
    sound[3_000:4_000] = np.inf
    sound[5_000:6_000] = -np.inf
    sound[7_000:8_000] = 3e38
    soundfile.write(path, sound, 44_100, subtype="FLOAT", format="WAV")
    return path


def many_streams(folder: Path, number: int) -> Path:
    """An MP4 with so many sound tracks."""
    ffmpeg(folder, "one.m4a", "-f", "lavfi", "-i", "sine=440:duration=0.1")
    return ffmpeg(folder, "many.mp4", "-i", "one.m4a", *["-map", "0:0"] * number, "-c", "copy", "-f", "mp4")


def _synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def id3(*frames: tuple[bytes, bytes]) -> bytes:
    """An ID3v2.4 tag."""
    body = b"".join(name + _synchsafe(len(data)) + b"\0\0" + data for name, data in frames)
    return b"ID3\x04\0\0" + _synchsafe(len(body)) + body


def many_chapters(number: int) -> bytes:
    """ID3 chapters, as many as asked for."""
    return id3(
        *(
            (b"CHAP", b"c%d\0" % index + struct.pack(">IIII", index, index + 1, 2**32 - 1, 2**32 - 1))
            for index in range(number)
        )
    )


def element(identifier: int, data: bytes) -> bytes:
    """Of Matroska."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + (0x0100_0000_0000_0000 | len(data)).to_bytes(8, "big") + data


def whole(identifier: int, value: int) -> bytes:
    """An element that is a number."""
    return element(identifier, value.to_bytes(8, "big"))


def matroska_packed_headers(number: int) -> bytes:
    """A Matroska file of so many tracks whose headers are 9 MB each, packed to 9 KB."""
    packed = zlib.compress(b"a" * 9_000_000, 9)
    packing = element(0x6D80, element(0x6240, whole(0x5032, 2) + element(0x5034, whole(0x4254, 0))))
    audio = element(0xE1, element(0xB5, struct.pack(">d", 44_100.0)) + whole(0x9F, 2))
    kind = whole(0x83, 2) + element(0x86, b"A_MPEG/L3") + audio + element(0x63A2, packed) + packing
    tracks = b"".join(element(0xAE, whole(0xD7, each) + whole(0x73C5, each) + kind) for each in range(1, number + 1))
    segment = element(0x1549A966, whole(0x2AD7B1, 10**6)) + element(0x1654AE6B, tracks)
    segment += element(0x1F43B675, whole(0xE7, 0) + element(0xA3, b"\x81\0\0\x80" + bytes(400)))
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, segment)


def matroska_chapters(number: int) -> bytes:
    """A Matroska file of one second of silence and with chapters whose identifiers fall."""
    atoms = b"".join(
        element(0xB6, whole(0x73C4, number - index) + whole(0x91, index * 10**6) + whole(0x92, (index + 1) * 10**6))
        for index in range(number)
    )
    audio = element(0xE1, element(0xB5, struct.pack(">d", 44_100.0)) + whole(0x9F, 2))
    track = element(0xAE, whole(0xD7, 1) + whole(0x73C5, 1) + whole(0x83, 2) + element(0x86, b"A_PCM/INT/LIT") + audio)
    segment = element(0x1549A966, whole(0x2AD7B1, 10**6)) + element(0x1654AE6B, track)
    segment += element(0x1043A770, element(0x45B9, atoms))
    segment += element(0x1F43B675, whole(0xE7, 0) + element(0xA3, b"\x81\0\0\x80" + bytes(44_100 * 4)))
    return element(0x1A45DFA3, element(0x4282, b"matroska")) + element(0x18538067, segment)


def png(width: int, height: int) -> bytes:
    """A black picture of so many pixels, one bit each: small on disk, large in memory."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row * 100) for _ in range(height // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture_frame(media_type: bytes, data: bytes) -> tuple[bytes, bytes]:
    """The ID3 frame of a front cover."""
    return b"APIC", b"\0" + media_type + b"\0\x03\0" + data


def patched_size(film: bytes, width: int, height: int) -> bytes:
    """An MP4 whose header says that its pictures have this size."""
    at = film.index(b"avc1", film.index(b"stsd"))
    return film[: at + 28] + struct.pack(">HH", width, height) + film[at + 32 :]


def flipped(content: bytes, seed: int, share: float = 0.002) -> bytes:
    """The same with some bits turned over."""
    generator = np.random.default_rng(seed)
    data = np.frombuffer(content, np.uint8).copy()
    places = generator.integers(0, len(data), max(1, int(len(data) * share)))
    data[places] ^= (1 << generator.integers(0, 8, len(places))).astype(np.uint8)
    return data.tobytes()
