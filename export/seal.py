"""Takes tuned configurations into a repository's manifest, which refuses them until then.

Changes no other digest: graphs and weights must be what the manifest says. Needs no torch.
"""

from pathlib import Path

from export.manifest import check_contents
from xmdpt.repository import check_files, file_digest, load_manifest, write_manifest


def seal_configs(root: Path) -> list[str]:
    """State the digests that the configurations of a repository have now, if they are right.

    Args:
        root: the repository's folder.

    Returns:
        Paths of the configurations that had changed.

    Raises:
        RepositoryError: a file is missing, a graph or its weights are not the manifest's, or a configuration is
            mistaken. The manifest stays as it is.
        OSError: the repository cannot be written to.
    """
    manifest = load_manifest(root)
    changed = []
    for entry in (*manifest["graphs"].values(), manifest["ensemble"]):
        for config in entry["configs"]:
            # One that is missing keeps the digest it had, and is refused with all others.
            if (root / config["path"]).is_file() and (digest := file_digest(root / config["path"])) != config["sha256"]:
                config["sha256"] = digest
                changed.append(config["path"])
    check_files(root, manifest)
    check_contents(root, manifest)
    if changed:
        write_manifest(root, manifest)
    return changed
