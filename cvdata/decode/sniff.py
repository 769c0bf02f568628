"""Which format the magic bytes name, and which formats an extension promises."""

import re

DECODABLE = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000"})
"""Formats that can be decoded at all; `Limits.formats` is a subset."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"II\0*", "TIFF"),
    (0, b"MM*\0", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    (0, b"\xff\x0a", "JXL"),
    (0, b"\0\0\0\x0cJXL ", "JXL"),
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF-", "PDF"),
    (0, b"8BPS\0", "PSD"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"\x01\0\x09\0\0\x03", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"icns", "ICNS"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"\x01\xda\0\x01", "SGI"),
    (0, b"\x01\xda\x01\x01", "SGI"),
    (0, b"\x01\xda\0\x02", "SGI"),
    (0, b"\x01\xda\x01\x02", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "SUN"),
    (0, b"/* XPM */", "XPM"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"FTEX", "FTEX"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"DanM", "MSP"),
    (0, b"LinS", "MSP"),
    (0, b"\xb1\x68\xde\x3a", "DCX"),
    (0, b"gimp xcf", "XCF"),
    (0, b"\x76\x2f\x31\x01", "EXR"),
    (0, b"#?RADIANCE", "HDR"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"\x8bJNG\r\n\x1a\n", "JNG"),
    (0, b"AT&TFORM", "DJVU"),
    (0, b"FUJIFILMCCD-RAW", "RAF"),
    (0, b"Image type:", "IM"),
    (0, b"\x80\xe8\0\0", "PIXAR"),
    (0, b"\x97JB2\r\n\x1a\n", "JBIG2"),
    (128, b"DICM", "DICOM"),
    (20, b"GIMP", "GBR"),
    (0, b"GRIB", "GRIB"),
    (0, b"BUFR", "BUFR"),
    (2048, b"PCD_", "PCD"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
)

_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"hevc": "HEIF",
    b"hevx": "HEIF",
    b"heim": "HEIF",
    b"heis": "HEIF",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "CR3",
    b"jp2 ": "JPEG2000",
}
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_NETPBM = re.compile(rb"P[1-7fF][\s#]")
# Possessive: hostile text must not make the matcher try again what it has already matched.
_SVG = re.compile(
    rb"\s*+(?:(?:<\?xml[^>]*+>|<!--(?>.*?-->)|<!DOCTYPE[^>]*+>)\s*+)*+<(?:\w++:)?svg[\s/>]", re.S
)
_XBM = re.compile(rb"\s*#define[ \t]+\S+_width[ \t]+\d+")

_EXTENSIONS = {
    "JPEG": "jpg jpeg jpe jfif jif pjpeg pjp mpo",
    "PNG": "png apng",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp dib",
    "TIFF": "tif tiff btf tf8 dng nef cr2 arw orf pef srw nrw",
    "AVIF": "avif avifs",
    "HEIF": "heic heif hif heics heifs",
    "JPEG2000": "jp2 j2k j2c jpc jpx jpf",
    "other": "ico cur icns psd svg eps ps pdf wmf emf tga pcx ppm pgm pbm pnm xbm xpm dds qoi jxl"
    " exr hdr txt html htm xml json csv zip gz tar mp4 mov avi npy bin",
}
_FAMILY = {e: family for family, names in _EXTENSIONS.items() for e in names.split()}


def sniff(data: bytes) -> str | None:
    """Name of the format whose magic bytes `data` has, or None. Never looks at pixels."""
    head = data[:64]
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head == b"\xff\xd8":
        return "JPEG"
    if head[:2] == b"BM" and _is_bmp(head):
        return "BMP"
    for offset, magic, name in _MAGIC:
        if data.startswith(magic, offset):
            return name
    if head[4:8] == b"ftyp":
        return _boxed(data)
    return _weak(data, head)


def _is_bmp(head: bytes) -> bool:
    """Two letters alone would claim any text that starts so: the header must fit too."""
    if len(head) < 18:
        return not head[2:].isascii() or not head[2:].strip(b"\0").isalnum()
    return int.from_bytes(head[14:18], "little") in _BMP_HEADERS or head[6:10] == b"\0\0\0\0"


def _boxed(data: bytes) -> str | None:
    """ISO base media: the major brand decides, then the compatible ones."""
    size = min(max(int.from_bytes(data[:4], "big"), 16), 256)
    brands = [data[8:12]] + [data[i : i + 4] for i in range(16, min(size, len(data)), 4)]
    names = [_BRANDS[b] for b in brands if b in _BRANDS]
    if "AVIF" in names:
        return "AVIF"
    return names[0] if names else None


def _weak(data: bytes, head: bytes) -> str | None:
    """Formats with little or no magic: none of them is ever decoded, only named."""
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and 0 < int.from_bytes(head[4:6], "little") < 256:
        return "ICO" if head[2] == 1 else "CUR"
    if _NETPBM.match(head):
        return "PNM"
    if head[4:6] in (b"\x11\xaf", b"\x12\xaf") and len(head) >= 16:
        return "FLI"
    if head[:1] == b"\x0a" and head[1:2] in b"\0\2\3\4\5" and head[2:3] == b"\1":
        return "PCX"
    if data[-18:] == b"TRUEVISION-XFILE.\0":
        return "TGA"
    if _SVG.match(data[:4096].removeprefix(b"\xef\xbb\xbf")):
        return "SVG"
    return "XBM" if _XBM.match(data[:256]) else None


def is_wrong_extension(name: str, fmt: str) -> bool:
    """Whether the extension of `name` is a known one that promises something else than `fmt`."""
    dot = name.rfind(".")
    if dot < 0:
        return False
    family = _FAMILY.get(name[dot + 1 :].lower())
    return family is not None and family != fmt
