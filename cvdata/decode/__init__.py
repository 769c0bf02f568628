"""What an encoded file says about itself, and how its pixels become RGB8.

`sniff` names the format from magic bytes; the scanners (`jpeg`, `png`, `gif`, `webp`, `bmp`,
`tiff`, `boxed`) read header facts without decoding a pixel and find truncation and damage; `exif`
reads metadata, `raster` runs the decoders. `cvdata.image` is the policy that puts them together.
"""
