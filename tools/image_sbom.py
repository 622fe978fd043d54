"""Prints an image's packages, as `image_packages.py` lists them, in CycloneDX 1.6.

build/release/bin/python tools/image_sbom.py build/image-packages.json > dist/image.cdx.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

IMAGE = "rescore-sidecar"


def image_bom(packages: dict[str, list[dict[str, str]]]) -> str:
    """The CycloneDX document; the image is what its components are parts of."""
    bom = Bom()
    versions = {package["name"]: package["version"] for package in packages["python"]}
    bom.metadata.component = Component(
        name=IMAGE, version=versions.get(IMAGE), type=ComponentType.CONTAINER, bom_ref="image"
    )
    for kind, entries in packages.items():
        for package in entries:
            bom.components.add(_component(kind, package))
    bom.register_dependency(bom.metadata.component, bom.components)
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _component(kind: str, package: dict[str, str]) -> Component:
    name, version = package["name"], package["version"]
    if kind == "debian":
        url = PackageURL("deb", "debian", name, version, {"arch": package["architecture"]})
    else:
        url = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
    licenses: list[Any] = []
    if package.get("license"):
        licenses.append(LicenseFactory().make_from_string(package["license"]))
    return Component(name=name, version=version, purl=url, bom_ref=str(url), licenses=licenses)


if __name__ == "__main__":
    print(image_bom(json.loads(Path(sys.argv[1]).read_text())))
